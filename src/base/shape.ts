import { ConsortError } from "#base/errors.ts";

/**
 * Checks that data read back from a disk or a program have the form we expect. Beside the schemas at the other
 * borders, for host managers: a schema library alone would take a fifth of the memory promised for one.
 */
export type Guard<Value> = (value: unknown) => value is Value;

type Guards = Readonly<Record<string, Guard<unknown>>>;
type Guarded<G> = G extends Guard<infer Value> ? Value : never;
type Shape<Fields extends Guards> = { [Name in keyof Fields]: Guarded<Fields[Name]> };

export const isText: Guard<string> = (value) => typeof value === "string";
export const isNumber: Guard<number> = (value) => typeof value === "number";
export const isFlag: Guard<boolean> = (value) => typeof value === "boolean";

export function oneOf<const Word extends string>(...words: readonly Word[]): Guard<Word> {
  return (value): value is Word => words.some((word) => word === value);
}

/** Absent, or of that form. */
export function optional<Value>(guard: Guard<Value>): Guard<Value | undefined> {
  return (value): value is Value | undefined => value === undefined || guard(value);
}

export function listOf<Value>(guard: Guard<Value>): Guard<Value[]> {
  return (value): value is Value[] => Array.isArray(value) && value.every(guard);
}

/** An object with any names, all values of that form. */
export function mapOf<Value>(guard: Guard<Value>): Guard<Record<string, Value>> {
  return (value): value is Record<string, Value> => isObject(value) && Object.values(value).every(guard);
}

/** An object with at least these fields. */
export function shape<const Fields extends Guards>(fields: Fields): Guard<Shape<Fields>> {
  const entries = Object.entries(fields);
  return (value): value is Shape<Fields> =>
    isObject(value) && entries.every(([name, guard]) => guard(value[name]));
}

/** An object with these fields and no others. */
export function exactly<const Fields extends Guards>(fields: Fields): Guard<Shape<Fields>> {
  const present = shape(fields);
  return (value): value is Shape<Fields> =>
    present(value) && Object.keys(value).every((name) => Object.hasOwn(fields, name));
}

/** JSON that a program wrote. @throws `driver_failed` when it has another form than we know of `program` */
export function readJson<Value>(text: string, guard: Guard<Value>, program: string): Value {
  const value: unknown = JSON.parse(text);
  if (guard(value)) return value;
  throw new ConsortError("driver_failed", `Cannot understand ${program}: it wrote JSON of another form`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

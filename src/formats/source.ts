import type { Path } from "#formats/problem.ts";

export type Place = { readonly line: number; readonly column: number };

/** Where a member of a list or map was written: its key (or itself, in a list) and its value. */
export type MemberPlace = { readonly key: Place; readonly value: Place };

/** Keyed by the plain list or map itself, so that places survive YAML aliases and need no second tree. */
export type Places = WeakMap<object, ReadonlyMap<string | number, MemberPlace>>;

/** A file read into plain data, before it is known to mean anything. */
export type Source = { readonly value: unknown; readonly places: Places };

export const unknownPlace: Place = { line: 0, column: 0 };

/** Data that never was a text: nothing has a place. */
export function sourceOf(value: unknown): Source {
  return { value, places: new WeakMap() };
}

/** The value at `path`, or undefined. */
export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => memberOf(value, part), root);
}

export function memberOf(value: unknown, part: string | number): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
  return Object.getOwnPropertyDescriptor(value, part)?.value;
}

/** The place of the value at `path` (of its key with `atKey`), or of the nearest thing above it that has one. */
export function placeOf(source: Source, path: Path, atKey: boolean): Place {
  let value = source.value;
  let place: Place = { line: 1, column: 1 };
  if (typeof value !== "object" || value === null || !source.places.has(value)) place = unknownPlace;
  for (const [index, part] of path.entries()) {
    const member =
      typeof value === "object" && value !== null ? source.places.get(value)?.get(part) : undefined;
    if (member === undefined) return place;
    value = memberOf(value, part);
    const container = typeof value === "object" && value !== null;
    const last = index === path.length - 1;
    place = container || (last && atKey) ? member.key : member.value;
  }
  return place;
}

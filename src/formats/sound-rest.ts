import { formatPath } from "#formats/problem.ts";
import type { Problem } from "#formats/problem.ts";
import type { Places, Source } from "#formats/source.ts";

/**
 * What is left of a file without what has a wrong form, so that the meaning of the rest can be judged at once and a
 * file with problems of both kinds need not be mended twice. What is left out is as little as can be: an entry that
 * nothing else refers to, or a field that means nothing to others. Whatever might be told of the rest only because that
 * is missing is not `isSure`.
 */
export type SoundRest = {
  readonly source: Source;
  isSure(problem: Problem): boolean;
};

/** Nothing refers to their entries. */
const leaves: readonly string[] = ["strategies", "adjustments"];
/** Nothing but these looks at single fields of theirs. */
const withFields: readonly string[] = ["appliances", "links"];
const lookers: readonly string[] = ["monitors", ...leaves];
/** Of an appliance, what the rest of a file would mean something else without. */
const naming: readonly string[] = ["replicas", "numbered", "networks", "kind", "image"];

/** Problems do not tell it. */
const anyName = { ensemble: "nameless" };

/** Undefined: the rest would mean something else. */
export function soundRest(
  { value, places }: Source,
  problems: readonly Problem[],
  known: readonly string[],
): SoundRest | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const isNameless = problems.some(({ path }) => path === "ensemble");
  const left = new Set(problems.filter(({ path }) => path !== "ensemble"));
  const unsure: string[] = [];
  /** Without the members that have problems, as far as they can be left out. */
  const without = (
    at: object,
    path: readonly (string | number)[],
    canGo: (key: string) => boolean,
  ): object => {
    const sound = Object.entries(at).filter(([key]) => {
      const place = formatPath([...path, Array.isArray(at) ? Number(key) : key]);
      const own = [...left].filter((problem) => isWithin(problem.path, place));
      if (own.length === 0 || !canGo(key)) return true;
      for (const problem of own) left.delete(problem);
      unsure.push(path.length > 1 ? formatPath(path) : place);
      return false;
    });
    return copied(at, Object.fromEntries(sound), places);
  };
  const sections = Object.entries(without(value, [], (key) => !known.includes(key)));
  const rest = sections.map(([key, section]): [string, unknown] => {
    if (typeof section !== "object" || section === null) return [key, section];
    if (leaves.includes(key)) return [key, without(section, [key], () => true)];
    if (!withFields.includes(key)) return [key, section];
    const entries = Object.entries(section).map(([name, entry]: [string, unknown]): [string, unknown] => {
      if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return [name, entry];
      const path = [key, Array.isArray(section) ? Number(name) : name];
      return [name, without(entry, path, (field) => key === "links" || !naming.includes(field))];
    });
    const list = Array.isArray(section) ? entries.map(([, entry]) => entry) : Object.fromEntries(entries);
    return [key, copied(section, list, places)];
  });
  if (left.size > 0) return undefined;
  const isHeld = unsure.some((place) => !leaves.some((key) => isWithin(place, key)));
  return {
    source: {
      value: copied(value, { ...Object.fromEntries(rest), ...(isNameless ? anyName : {}) }, places),
      places,
    },
    isSure: ({ path }) =>
      !unsure.some((place) => isWithin(path, place)) &&
      !(isHeld && lookers.some((key) => isWithin(path, key))),
  };
}

const isWithin = (path: string, entry: string): boolean =>
  path === entry || path.startsWith(`${entry}.`) || path.startsWith(`${entry}[`);

/** With the places of what it is a copy of. */
function copied(from: object, to: object, places: Places): object {
  const known = places.get(from);
  if (known !== undefined) places.set(to, known);
  return to;
}

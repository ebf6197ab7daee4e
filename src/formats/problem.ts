/** One thing wrong with an input, with its place. `line` and `column` count from 1; 0 means the place is not known. */
export type Problem = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** "links[0].to"; empty for the document as a whole. */
  readonly path: string;
  /** What is wrong and what was expected, one line. */
  readonly message: string;
  /** A whole phrase: `did you mean "db"?`, `write 512MiB or 512MB`. */
  readonly suggestion?: string;
};

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** `ensemble.yaml:12:9 links[0].to: no appliance "db2"; did you mean "db"?`, always one line. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `:${problem.line}:${problem.column}` : "";
  const path = problem.path === "" ? "" : ` ${problem.path}`;
  const suggestion = problem.suggestion === undefined ? "" : `; ${problem.suggestion}`;
  return oneLine(`${problem.file}${place}${path}: ${problem.message}${suggestion}`);
}

/** A finding before it has a place in a file: what the checks on plain values return. */
export type Finding = {
  readonly path: Path;
  readonly message: string;
  readonly suggestion?: string;
  /** A word nobody knows, and those that are known: the nearest is looked for only when the problem is told. */
  readonly unknown?: { readonly word: string; readonly known: Iterable<string> };
  /** Points at the key instead of its value. */
  readonly atKey?: boolean;
};

export type Path = readonly (string | number)[];

/** ["links", 0, "to"] → "links[0].to"; keys that are not plain words are quoted. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    if (!/^[\w-]{1,64}$/.test(part)) return `${text}[${quoted(part)}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

/** A value as a person would recognise it in a message: short, on one line, whatever it is. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return typeof value === "object" ? "a map" : `a ${typeof value}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
}

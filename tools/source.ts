import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Reads the project's files for the checks in `tidy.test.ts`; no parser: oxfmt's layout makes lines reliable. */

export const projectRoot = join(import.meta.dirname, "..");

const notOurs: ReadonlySet<string> = new Set(["node_modules", ".git"]);

/** Paths of all files below `folder`, relative to the project, `/`-separated, sorted. A missing folder has none. */
export function filesBelow(folder: string): string[] {
  const start = join(projectRoot, folder);
  const found: string[] = [];
  const visit = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (notOurs.has(entry.name)) continue;
      const child = join(path, entry.name);
      if (entry.isDirectory()) visit(child);
      else if (entry.isFile()) found.push(relative(projectRoot, child));
    }
  };
  visit(start);
  return found.sort();
}

export function readProjectFile(path: string): string {
  return readFileSync(join(projectRoot, path), "utf8");
}

/**
 * The source with comments blanked out, and with `strings: "blank"` also the insides of strings, templates and
 * regular expressions. Length and line breaks stay, so positions still hold.
 */
export function mask(source: string, strings: "keep" | "blank"): string {
  let out = "";
  let at = 0;
  const templateDepths: number[] = [];
  let depth = 0;
  const take = (length: number, blank: boolean): void => {
    const text = source.slice(at, at + length);
    out += blank ? text.replaceAll(/[^\n]/g, " ") : text;
    at += length;
  };
  const lengthOf = (pattern: RegExp): number => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0].length ?? 1;
  };
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const one = two.charAt(0);
    const templateEnds = one === "}" && templateDepths.at(-1) === depth;
    if (two === "//") take(lengthOf(/\/\/[^\n]*/y), true);
    else if (two === "/*") take(lengthOf(/\/\*[\s\S]*?\*\//y), true);
    else if (one === '"' || one === "'")
      take(lengthOf(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y), strings === "blank");
    else if (one === "/" && regexMayStart(out)) take(lengthOf(regexLiteral), strings === "blank");
    else if (one === "`" || templateEnds) {
      if (templateEnds) templateDepths.pop();
      const text = lengthOf(/[`}](?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y);
      const opens = source.slice(at, at + text).endsWith("${");
      take(text, strings === "blank");
      if (opens) templateDepths.push(depth);
    } else {
      if (one === "{") depth += 1;
      if (one === "}") depth -= 1;
      take(1, false);
    }
  }
  return out;
}

const regexLiteral = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;

function regexMayStart(before: string): boolean {
  const tail = before.trimEnd();
  return tail === "" || /(?:[(,=:[!&|?{};>]|\breturn|\bcase)$/.test(tail);
}

/** What a module imports or re-exports from, types and dynamic imports of a constant included. */
export function importsOf(source: string): string[] {
  const code = mask(source, "keep");
  const patterns = [
    /^(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"/gm,
    /^import\s*"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"\s*\)/g,
    /\bimport\(\s*`([^`$]+)/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ""));
}

export type FunctionSpan = { readonly line: number; readonly lines: number; readonly head: string };

const functionHead =
  /^(\s*)(?:export )?(?:(?:async )?function\b|(?:(?:static|private|protected|public|override|async|get|set) )*(?!if\b|for\b|while\b|switch\b|catch\b|return\b|await\b)[#*\w]+(?:<.*>)?\(.*(?:\{|\()$|(?:export )?const \w+.*=.*(?:=> \{|\()$)/;

/** Functions with a body in braces, with their length in lines, head and closing brace included. */
export function functionsOf(source: string): FunctionSpan[] {
  const lines = mask(source, "blank").split("\n");
  return lines.flatMap((head, index) => {
    const match = functionHead.exec(head);
    if (match === null) return [];
    const end = closingLine(lines, index, match[1] ?? "");
    return end === undefined ? [] : [{ line: index + 1, lines: end - index + 1, head: head.trim() }];
  });
}

function closingLine(lines: readonly string[], start: number, indent: string): number | undefined {
  for (let index = start + 1; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    if (line.trim() === "" || line.startsWith(`${indent} `)) continue;
    if (!line.startsWith(indent)) return undefined;
    // A signature over several lines: "): Promise<void> {" or "}: { a: string }): void {".
    if (/^[)}].*\{$/.test(line.slice(indent.length))) continue;
    return line.startsWith(`${indent}}`) ? index : undefined;
  }
  return undefined;
}

/** Line number of a position. */
export function lineAt(source: string, position: number): number {
  return source.slice(0, position).split("\n").length;
}

/** Anchors of a Markdown page's headings, as GitHub makes them. */
export function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/^#{1,6} +(.+)$/gm)];
  return new Set(
    headings.map((match) =>
      (match[1] ?? "")
        .toLowerCase()
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

/** Targets of a Markdown page's links and images, code left out. */
export function linksIn(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)].map((match) => match[1] ?? "");
}

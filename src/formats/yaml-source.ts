import { Composer, isAlias, isMap, isNode, isScalar, isSeq, Lexer, LineCounter, Parser } from "yaml";
import type { Alias, CST, Document, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import { formatLimits } from "#formats/limits.ts";
import { shown } from "#formats/problem.ts";
import type { MemberPlace, Place, Places, Source } from "#formats/source.ts";

export type SyntaxProblem = Place & { readonly message: string; readonly suggestion?: string };

export type SourceResult =
  | { readonly ok: true; readonly source: Source }
  | { readonly ok: false; readonly problem: SyntaxProblem };

/**
 * YAML 1.2 (and so JSON) to plain data with places. Stricter than the library: one document, text keys, no
 * duplicate keys, bounded depth and size after aliases. Milder in one thing: a plain scalar whose number or truth
 * value would not print as it was written stays text, so that 0644, 1.10 and TRUE reach us as people wrote them.
 */
export function readYaml(text: string): SourceResult {
  const lines = new LineCounter();
  try {
    const contents = compose(text, lines);
    const reader = new YamlReader(lines);
    const value = contents === null ? null : reader.read(contents, 0);
    return { ok: true, source: { value, places: reader.places } };
  } catch (error) {
    if (error instanceof Refusal) {
      return {
        ok: false,
        problem: { ...placeAt(lines, error.offset), message: error.message, ...error.hint },
      };
    }
    return { ok: false, problem: { line: 1, column: 1, message: "this is not YAML that can be read" } };
  }
}

/** The root of the only document in `text`; throws a Refusal at the first fault. */
function compose(text: string, lines: LineCounter): Node | null {
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  let only: Document.Parsed | undefined;
  for (const document of composer.compose(tokens(text, lines), true, text.length)) {
    const [error] = document.errors;
    if (error !== undefined) throw syntaxRefusal(error.pos[0], error.code, error.message);
    if (only !== undefined) throw syntaxRefusal(document.range[0], "MULTIPLE_DOCS", "");
    only = document;
  }
  return only?.contents ?? null;
}

/** The library's own loop, with a bound on depth: without it, a few megabytes of "[" cost many seconds. */
function* tokens(text: string, lines: LineCounter): Generator<CST.Token, void> {
  const parser = new Parser();
  lines.addNewLine(0);
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines.addNewLine(at + 1);
  for (const lexeme of new Lexer().lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > 2 * formatLimits.depth) {
      throw new Refusal(parser.offset, `nested more than ${formatLimits.depth} deep`);
    }
  }
  yield* parser.end();
}

class Refusal extends Error {
  readonly offset: number;
  readonly hint: { readonly suggestion?: string };
  constructor(offset: number, message: string, hint: { suggestion?: string } = {}) {
    super(message);
    this.offset = offset;
    this.hint = hint;
  }
}

class YamlReader {
  readonly places: Places = new WeakMap();
  readonly #lines: LineCounter;
  readonly #anchors = new Map<string, Node>();
  readonly #entered = new Set<Node>();
  #values = 0;
  #valuesOfAliases = 0;
  #aliases = 0;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  read(node: unknown, depth: number): unknown {
    this.#values += 1;
    const offset = offsetOf(node);
    if (depth > formatLimits.depth) throw new Refusal(offset, `nested more than ${formatLimits.depth} deep`);
    if (this.#aliases > 0) this.#valuesOfAliases += 1;
    if (this.#values > formatLimits.values || this.#valuesOfAliases > formatLimits.aliasedValues) {
      throw new Refusal(offset, "far too many values once aliases (*name) are followed");
    }
    if (isAlias(node)) return this.#alias(node, depth);
    if (isNode(node) && node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#map(node, depth);
    if (isSeq(node)) return this.#list(node, depth);
    if (isScalar(node)) return scalarValue(node);
    return null;
  }

  #alias(node: Alias, depth: number): unknown {
    const target = this.#anchors.get(node.source);
    if (target === undefined) throw new Refusal(offsetOf(node), `no anchor &${node.source} before this`);
    if (this.#entered.has(target)) throw new Refusal(offsetOf(node), `*${node.source} contains itself`);
    this.#aliases += 1;
    const value = this.read(target, depth + 1);
    this.#aliases -= 1;
    return value;
  }

  #list(node: YAMLSeq, depth: number): unknown[] {
    const places = new Map<number, MemberPlace>();
    this.#entered.add(node);
    const list = node.items.map((item, index) => {
      const place = this.#place(offsetOf(item));
      places.set(index, { key: place, value: place });
      return this.read(item, depth + 1);
    });
    this.#entered.delete(node);
    this.places.set(list, places);
    return list;
  }

  #map(node: YAMLMap, depth: number): Record<string, unknown> {
    const places = new Map<string, MemberPlace>();
    const entries = new Map<string, unknown>();
    const merged: unknown[] = [];
    this.#entered.add(node);
    for (const pair of node.items) {
      const key = keyOf(pair);
      const keyOffset = offsetOf(pair.key);
      if (key === "<<") {
        merged.push(pair.value);
        continue;
      }
      const before = places.get(key);
      if (before !== undefined) {
        throw new Refusal(keyOffset, `${shown(key)} is already given on line ${before.key.line}`);
      }
      const valueOffset = pair.value === null ? keyOffset : offsetOf(pair.value);
      places.set(key, { key: this.#place(keyOffset), value: this.#place(valueOffset) });
      entries.set(key, this.read(pair.value, depth + 1));
    }
    for (const source of merged) this.#merge(source, entries, places, depth);
    this.#entered.delete(node);
    const map = Object.fromEntries(entries);
    this.places.set(map, places);
    return map;
  }

  /** `<<: *base` or `<<: [*a, *b]`: members not given here are taken from there. */
  #merge(
    source: unknown,
    entries: Map<string, unknown>,
    places: Map<string, MemberPlace>,
    depth: number,
  ): void {
    const value = this.read(source, depth + 1);
    for (const part of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof part !== "object" || part === null || Array.isArray(part)) {
        throw new Refusal(offsetOf(source), "<< merges maps; this is none", {
          suggestion: "write <<: *name",
        });
      }
      const from = this.places.get(part);
      for (const [key, member] of Object.entries(part)) {
        if (entries.has(key)) continue;
        entries.set(key, member);
        const place = from?.get(key);
        if (place !== undefined) places.set(key, place);
      }
    }
  }

  #place(offset: number): Place {
    return placeAt(this.#lines, offset);
  }
}

function keyOf(pair: Pair): string {
  const offset = offsetOf(pair.key);
  if (!isScalar(pair.key)) throw new Refusal(offset, "a key must be plain text");
  const value = scalarValue(pair.key);
  const key = value === null ? "" : String(value);
  if (key === "__proto__") throw new Refusal(offset, "__proto__ is no name");
  return key;
}

/** Only text, numbers, truth values and nothing leave here; a number that was not written canonically stays text. */
function scalarValue(node: { value: unknown; source?: string }): string | number | boolean | null {
  const { value, source } = node;
  if (typeof value === "string" || value === null) return value;
  if (typeof value === "number" || typeof value === "boolean") {
    return source === undefined || String(value) === source ? value : source;
  }
  return source ?? "";
}

function offsetOf(node: unknown): number {
  if (typeof node !== "object" || node === null || !("range" in node)) return 0;
  const { range } = node;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : 0;
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function syntaxRefusal(offset: number, code: string, message: string): Refusal {
  switch (code) {
    case "TAB_AS_INDENT":
      return new Refusal(offset, "a tab indents this line", { suggestion: "indent with spaces" });
    case "MULTIPLE_DOCS":
      return new Refusal(offset, "a second document begins here (---)", { suggestion: "keep one per file" });
    case "BLOCK_AS_IMPLICIT_KEY":
      return new Refusal(offset, "a second `:` on this line", {
        suggestion: "quote text that contains `: `, or indent the line before alike",
      });
    case "RESOURCE_EXHAUSTION":
      return new Refusal(offset, `nested more than ${formatLimits.depth} deep`);
    default:
      return new Refusal(offset, `not valid YAML: ${message.replaceAll("\n", " ").slice(0, 200)}`);
  }
}

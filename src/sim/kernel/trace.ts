import type { Scheduled } from "#sim/kernel/event-heap.ts";

const prime = 0x01000193;

/** What happened, as a fingerprint over every event and as text of the newest ones. */
export class Trace {
  readonly #kept: number;
  #lines: Scheduled[] = [];
  #notes = new Map<number, string[]>();
  #low = 0x811c9dc5;
  #high = 0x9dc5811c;
  #events = 0;
  readonly #texts = new Map<string, number>();
  readonly #float = new Float64Array(1);
  readonly #words = new Uint32Array(this.#float.buffer);

  constructor(linesKept: number) {
    this.#kept = linesKept;
  }

  get events(): number {
    return this.#events;
  }

  add(event: Scheduled): void {
    this.#events += 1;
    this.#float[0] = event.atMs;
    this.#mix(this.#words[0]!);
    this.#mix(this.#words[1]!);
    this.#mix(this.#numberOf(event.label));
    if (event.process !== undefined) this.#mix(event.processMark);
    if (this.#kept === 0) return;
    this.#lines.push(event);
    if (this.#lines.length >= 2 * this.#kept) this.#forget();
  }

  /** Something worth telling about the event that is happening. */
  note(sequence: number, text: string): void {
    this.#mix(markOf(text));
    if (this.#kept === 0) return;
    const notes = this.#notes.get(sequence);
    if (notes === undefined) this.#notes.set(sequence, [text]);
    else notes.push(text);
  }

  /** Equal for equal runs; differs, for all practical purposes, when any event differs. */
  fingerprint(): string {
    return `${this.#events}-${(this.#low >>> 0).toString(16)}${(this.#high >>> 0).toString(16)}`;
  }

  lines(): readonly string[] {
    return this.#lines.slice(-this.#kept).flatMap((event) => {
      const head = `${event.atMs.toFixed(3)} ${event.process ?? "-"} ${event.label}`;
      return [head, ...(this.#notes.get(event.sequence) ?? []).map((note) => `  ${note}`)];
    });
  }

  #forget(): void {
    const gone = this.#lines.slice(0, -this.#kept);
    for (const { sequence } of gone) this.#notes.delete(sequence);
    this.#lines = this.#lines.slice(-this.#kept);
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, prime);
    this.#high = Math.imul(this.#high ^ (word + (this.#low >>> 15)), 0x5bd1e995);
    this.#high ^= this.#high >>> 13;
  }

  #numberOf(text: string): number {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const number = markOf(text);
    this.#texts.set(text, number);
    return number;
  }
}

/** Mixed into the fingerprint of a run in place of a text. */
export function markOf(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), prime);
  }
  return value >>> 0;
}

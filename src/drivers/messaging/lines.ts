const newline = 0x0a;

/** Cuts a byte stream into lines. A line longer than `bytesMax` is not kept: `push` then returns "too long". */
export class Lines {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that are whole now, without their ends. */
  push(chunk: Buffer): readonly string[] | "too long" {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end));
      if (this.#length > this.#bytesMax) return "too long";
      lines.push(this.#parts.length === 1 ? String(this.#parts[0]) : Buffer.concat(this.#parts).toString());
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return this.#length > this.#bytesMax ? "too long" : lines;
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }
}

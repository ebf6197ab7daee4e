import { ConsortError } from "#base/errors.ts";

/** Small numbers for names that come and go, each its own for as long as it is kept. */
export class Numbers {
  readonly #what: string;
  readonly #max: number;
  readonly #numbers = new Map<string, number>();
  readonly #free: number[] = [];
  #next = 0;

  constructor(what: string, max: number) {
    this.#what = what;
    this.#max = max;
  }

  /** @throws limit_exceeded */
  of(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#next;
    if (number >= this.#max) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot number one more of the ${this.#what}: at most ${this.#max} fit`,
      );
    }
    if (number === this.#next) this.#next += 1;
    this.#numbers.set(name, number);
    return number;
  }

  /** Those not in `names` may be given to others; `dropped` hears of each. */
  keep(names: ReadonlySet<string>, dropped: (number: number) => void): void {
    for (const [name, number] of this.#numbers) {
      if (names.has(name)) continue;
      this.#numbers.delete(name);
      this.#free.push(number);
      dropped(number);
    }
  }
}

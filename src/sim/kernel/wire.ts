import type { Random } from "#base/runtime.ts";

type Cut = { readonly from: string; readonly to: string };
type Noise = { readonly lost: number; readonly doubled: number; readonly delayMsMax: number };

/** What becomes of one message: when its copies arrive, after the time it takes anyway. Empty: it is lost. */
type Fate = readonly number[];

const arrives: Fate = [0];
const lost: Fate = [];

/** What is wrong between the processes: who cannot be heard by whom, and what happens to messages. */
export class Wire {
  readonly #random: Random;
  readonly #cuts = new Set<Cut>();
  readonly #noises = new Set<Noise>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Nothing gets from one to the other any more; "*" is everybody. Returns what mends it. */
  cut(from: string, to: string): { readonly lasts: () => boolean; readonly mend: () => void } {
    const cut = { from, to };
    this.#cuts.add(cut);
    return { lasts: () => this.#cuts.has(cut), mend: () => void this.#cuts.delete(cut) };
  }

  /** Returns what ends it. */
  disturb(noise: Noise): () => void {
    const own = { ...noise };
    this.#noises.add(own);
    return () => void this.#noises.delete(own);
  }

  isCut(from: string, to: string): boolean {
    if (this.#cuts.size === 0) return false;
    for (const cut of this.#cuts) if (matches(cut.from, from) && matches(cut.to, to)) return true;
    return false;
  }

  /** In either direction. */
  isBroken(a: string, b: string): boolean {
    return this.isCut(a, b) || this.isCut(b, a);
  }

  fateOf(from: string, to: string): Fate {
    if (this.isCut(from, to)) return lost;
    let fate = arrives;
    for (const noise of this.#noises) {
      if (this.#random.next() < noise.lost) return lost;
      const copies = this.#random.next() < noise.doubled ? 2 : 1;
      fate = Array.from({ length: copies }, () => this.#random.next() * noise.delayMsMax);
    }
    return fate;
  }
}

const matches = (pattern: string, name: string): boolean => pattern === "*" || pattern === name;

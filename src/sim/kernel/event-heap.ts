/** Something that is to happen. `run` is taken away when it is called off. */
export type Scheduled = {
  readonly atMs: number;
  /** Of two at the same moment, the one scheduled first happens first. */
  readonly sequence: number;
  /** The one it is for, if any. */
  readonly process: string | undefined;
  /** What the fingerprint of a run takes for it. */
  readonly processMark: number;
  readonly label: string;
  run: (() => void) | undefined;
};

/** A binary heap of what is to happen, earliest first. What was called off is passed over. */
export class EventHeap {
  readonly #events: Scheduled[] = [];
  /** When each of them happens: most comparisons need not look at the events themselves, which lie far apart. */
  readonly #times: number[] = [];

  push(event: Scheduled): void {
    const events = this.#events;
    const times = this.#times;
    let index = events.length;
    while (index > 0) {
      const above = (index - 1) >>> 1;
      if (this.#comesBefore(above, event)) break;
      events[index] = events[above]!;
      times[index] = times[above]!;
      index = above;
    }
    events[index] = event;
    times[index] = event.atMs;
  }

  peek(): Scheduled | undefined {
    while (this.#events[0] !== undefined && this.#events[0].run === undefined) this.#removeFirst();
    return this.#events[0];
  }

  pop(): Scheduled | undefined {
    const first = this.peek();
    if (first !== undefined) this.#removeFirst();
    return first;
  }

  #removeFirst(): void {
    const events = this.#events;
    const times = this.#times;
    const last = events.pop()!;
    times.pop();
    const count = events.length;
    if (count === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= count) break;
      if (below + 1 < count && this.#isFirst(below + 1, below)) below += 1;
      if (!this.#comesBefore(below, last)) break;
      events[index] = events[below]!;
      times[index] = times[below]!;
      index = below;
    }
    events[index] = last;
    times[index] = last.atMs;
  }

  /** Of two in the heap. */
  #isFirst(index: number, other: number): boolean {
    const at = this.#times[index]!;
    const otherAt = this.#times[other]!;
    return at < otherAt || (at === otherAt && this.#events[index]!.sequence < this.#events[other]!.sequence);
  }

  #comesBefore(index: number, other: Scheduled): boolean {
    const atMs = this.#times[index]!;
    return atMs < other.atMs || (atMs === other.atMs && this.#events[index]!.sequence < other.sequence);
  }
}

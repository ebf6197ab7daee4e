/** Something that is to happen. `run` is taken away when it is called off. */
export type Scheduled = {
  readonly atMs: number;
  /** Of two at the same moment, the one scheduled first happens first. */
  readonly sequence: number;
  /** The process it is for, if any. */
  readonly owner: string | undefined;
  readonly label: string;
  run: (() => void) | undefined;
};

/** A binary heap of what is to happen, earliest first. What was called off is passed over. */
export class EventHeap {
  readonly #events: Scheduled[] = [];

  push(event: Scheduled): void {
    const events = this.#events;
    let index = events.length;
    while (index > 0) {
      const above = (index - 1) >>> 1;
      const other = events[above]!;
      if (comesBefore(other, event)) break;
      events[index] = other;
      index = above;
    }
    events[index] = event;
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
    const last = events.pop()!;
    const count = events.length;
    if (count === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= count) break;
      if (below + 1 < count && comesBefore(events[below + 1]!, events[below]!)) below += 1;
      if (comesBefore(last, events[below]!)) break;
      events[index] = events[below]!;
      index = below;
    }
    events[index] = last;
  }
}

function comesBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

/** How quickly something takes in what it is sent: newer transfers count more, tiny ones tell nothing. */
export class Speed {
  #bps: number | undefined;

  /** Bytes per second; undefined: nothing was measured. */
  get bps(): number | undefined {
    return this.#bps;
  }

  note(bytes: number, tookMs: number): void {
    if (bytes < smallestBytes || tookMs <= 0) return;
    const now = (bytes / tookMs) * 1000;
    this.#bps = this.#bps === undefined ? now : this.#bps * (1 - share) + now * share;
  }
}

const smallestBytes = 256 * 1024;
const share = 0.3;

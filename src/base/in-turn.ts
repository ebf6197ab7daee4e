/** Works that follow each other, in the order in which they came; one that fails holds up none after it. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve();

  /** Settles as `work` does, which begins once all before it have ended. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Resolves when all that came until now have ended. */
  async settled(): Promise<void> {
    await this.#last;
  }
}

/** Works of one key follow each other; those of different keys do not wait. */
export class InTurnByKey<Key> {
  readonly #last = new Map<Key, Promise<unknown>>();

  run<Result>(key: Key, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled = turn
      .catch(() => {})
      .finally(() => {
        if (this.#last.get(key) === settled) this.#last.delete(key);
      });
    this.#last.set(key, settled);
    return turn;
  }
}

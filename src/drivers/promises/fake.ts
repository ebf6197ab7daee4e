import { judge } from "./judge.ts";
import type { Promised, PromiseLedger } from "./port.ts";

const nothing: Promised = { cpuMilli: 0, memoryBytes: 0 };

/** A machine that only exists here, with a ledger for each program on it. */
export class FakePromises {
  readonly promised = new Map<string, Promised>();
  readonly #has: Promised;

  constructor(has: Promised) {
    this.#has = has;
  }

  of(program: string): PromiseLedger {
    const before = (): Promised => this.promised.get(program) ?? nothing;
    const admit = (action: string, change: Partial<Promised>): void => {
      const others = [...this.promised].flatMap(([name, each]) =>
        name === program ? [] : [{ ...each, program: name }],
      );
      judge(action, { before: before(), wanted: { ...before(), ...change } }, others, this.#has);
    };
    return {
      admit,
      promise: (action, change) => {
        admit(action, change);
        this.promised.set(program, { ...before(), ...change });
      },
      close: () => void this.promised.delete(program),
    };
  }
}

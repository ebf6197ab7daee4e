import { closeSync, openSync } from "node:fs";
import { micros } from "#base/units.ts";
import { openProcess } from "../kernel/calls.ts";
import { jobControl } from "./control.ts";
import { publish } from "./halves.ts";
import { DispatchLoop } from "./loop.ts";
import { TableMemory, jobKind, jobState, word } from "./memory.ts";

const slotsAtFirst = 20_000;
/** Which only ask the kernel whether the process is there. */
const noSignals = { stop: 0, go: 0 };

/**
 * A table of machines that are not there, dispatched so that the real one is dispatched quickly: many times at first,
 * until the compiler has done its best with the loop, which at a hundred slots a second would take minutes, with late
 * slots all the while; and once right before each real slot, so that the processor finds the way again.
 */
export class Rehearsal {
  readonly #loop: DispatchLoop;
  readonly #files: readonly number[];
  #slot = 0;

  constructor() {
    const memory = TableMemory.alone();
    const nothing = openSync("/dev/null", "w");
    const own = Math.max(openProcess(process.pid) ?? nothing, 0);
    for (const job of [0, 1, 2, 3]) {
      memory.jobKinds[job] = job < 2 ? jobKind.process : jobKind.freezerV2;
      memory.jobStates[job] = jobState.wanted;
    }
    memory.header[word.jobsUsed] = 4;
    const targets = [[0], [1], [2], [3]].map((jobs, at) => ({
      machine: at,
      cursor: at,
      suspended: false,
      turns: [jobs],
    }));
    const table = {
      quantumUs: micros(1000),
      policy: "rate-monotonic" as const,
      targets: targets.map(({ machine }) => ({ machine: String(machine), path: [] })),
      slots: [Int32Array.from([0, 1, 2, 3])],
    };
    publish(memory, table, targets);
    const fds = new Int32Array([own, own, nothing, nothing]);
    this.#loop = new DispatchLoop(memory, jobControl(memory, fds, { release: () => {}, signals: noSignals }));
    this.#files = [nothing, own];
    for (let slot = 0; slot < slotsAtFirst; slot += 1) this.step();
  }

  /** One slot, with nothing stopped or continued. */
  step(): void {
    this.#slot += 1;
    this.#loop.prepare(this.#slot);
    this.#loop.dispatch(this.#slot, 0, 0);
    this.#loop.owe(0, 0);
    this.#loop.overtimeUs();
  }

  close(): void {
    for (const fd of new Set(this.#files)) closeSync(fd);
  }
}

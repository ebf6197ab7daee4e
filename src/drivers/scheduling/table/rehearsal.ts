import { closeSync, openSync } from "node:fs";
import { micros } from "#base/units.ts";
import { jobControl } from "./control.ts";
import { publish } from "./halves.ts";
import { DispatchLoop } from "./loop.ts";
import { TableMemory, jobKind, jobState, word } from "./memory.ts";

const slots = 20_000;

/**
 * Dispatches a table of two machines that are not there, until the compiler has done its best with the loop: at a
 * hundred slots a second it would take minutes to get there, with late slots all the while.
 */
export function rehearse(): void {
  const memory = TableMemory.alone();
  const nothing = openSync("/dev/null", "w");
  try {
    for (const job of [0, 1]) {
      memory.jobKinds[job] = jobKind.freezerV2;
      memory.jobStates[job] = jobState.wanted;
    }
    memory.header[word.jobsUsed] = 2;
    const targets = [0, 1].map((job) => ({ machine: job, cursor: job, suspended: false, turns: [[job]] }));
    const table = {
      quantumUs: micros(1000),
      policy: "rate-monotonic" as const,
      targets: [0, 1].map((machine) => ({ machine: String(machine), path: [] })),
      slots: [Int32Array.from([0, 1, -1])],
    };
    publish(memory, table, targets);
    const loop = new DispatchLoop(
      memory,
      jobControl(memory, new Int32Array([nothing, nothing]), () => {}),
    );
    for (let slot = 0; slot < slots; slot += 1) {
      loop.lookAhead(slot);
      loop.dispatch(slot, 0, 0);
    }
  } finally {
    closeSync(nothing);
  }
}

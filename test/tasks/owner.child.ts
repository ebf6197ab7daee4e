import { milliseconds, openTaskHost } from "consort/tasks";
import type { Enforcement } from "consort/tasks";

/** A program that adopts a process into a machine, suspends that if it is told to, says so, and waits to be killed. */

const [, , pid, cgroupParent = "", enforcement, suspend] = process.argv;
const host = await openTaskHost({ processors: [{ milli: 1000 }], cgroupParent });
const machine = host.createMachine({
  name: "held",
  cpu: { periodUs: milliseconds(40), executionUs: milliseconds(4) },
  enforcement: enforcement as Enforcement,
});
machine.addResource(Number(pid));
if (suspend === "suspend") machine.suspend();
console.log("held");
setInterval(() => {
  for (const { dispatches = 0 } of host.counters()) if (dispatches > 0) console.log("dispatched");
}, 50);

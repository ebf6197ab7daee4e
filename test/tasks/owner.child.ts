import { milliseconds, openTaskHost } from "consort/tasks";

/** A program that adopts a process into a machine of a dispatch table, says so, and waits to be killed. */

const [, , pid, cgroupParent = ""] = process.argv;
const host = await openTaskHost({ processors: [{ milli: 1000 }], cgroupParent });
const machine = host.createMachine({
  name: "held",
  cpu: { periodUs: milliseconds(40), executionUs: milliseconds(4) },
  enforcement: "dispatch-table",
});
machine.addResource(Number(pid));
console.log("adopted");
setInterval(() => {
  for (const { dispatches = 0 } of host.counters()) if (dispatches > 0) console.log("dispatched");
}, 50);

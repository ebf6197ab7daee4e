import { milliseconds, openTaskHost } from "consort/tasks";

/** A program that reserves all processors, says so, and waits to be killed. */

const [, , cgroupParent = ""] = process.argv;
const host = await openTaskHost({ cgroupParent });
for (const { name } of host.processors)
  host.createMachine({ name, cpu: { periodUs: milliseconds(40), share: 1 } });
console.log("reserved");
setInterval(() => {}, 1000);

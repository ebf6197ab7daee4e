import { milliseconds, openTaskHost } from "consort/tasks";

/** A program that starts another one in a machine, lets it go, and has nothing else to do. */

const [, , cgroupParent = ""] = process.argv;
await using host = await openTaskHost({ processors: [{ milli: 1000 }], cgroupParent });
const machine = host.createMachine({ name: "m", cpu: { periodUs: milliseconds(40), share: 0.1 } });
const job = await machine.team.scheduler.start(["sleep", "600"]);
machine.team.scheduler.removeResource(job);
console.log(job.pid);

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { milliseconds, openTaskHost, pageMeter, programMeter, schedulingMeter, watch } from "consort/tasks";
import type { Meter, Violation, WatchSettings } from "consort/tasks";

/** Meters of real programs, pages and machines. Every test waits for what it wants to see, however long that takes. */

const directory = mkdtempSync(join(tmpdir(), "meters-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Resolves with the first violation of this condition. */
function firstViolation(meter: Meter, condition: string, settings: WatchSettings): Promise<Violation> {
  const { promise, resolve } = Promise.withResolvers<Violation>();
  const watching = watch(meter, settings);
  watching.when(condition, resolve);
  return promise.finally(() => watching[Symbol.dispose]());
}

/** Resolves with the first problem it has. */
function firstProblem(meter: Meter): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const onProblem = (problem: string | undefined): void =>
    problem === undefined ? undefined : resolve(problem);
  const watching = watch(meter, { everyMs: 20, onProblem });
  return promise.finally(() => watching[Symbol.dispose]());
}

test("a program's number is watched, and why there is none is told", async () => {
  const queue = join(directory, "queue");
  writeFileSync(queue, "27\n");
  const violation = await firstViolation(programMeter("queue", ["cat", queue]), "queue > 20", {
    everyMs: 20,
  });
  assert.deepEqual({ ...violation, reason: "" }, { monitor: "queue", value: 27, reason: "" });
  writeFileSync(queue, "many\n");
  assert.match(await firstProblem(programMeter("queue", ["cat", queue])), /a number was wanted/);
  assert.match(await firstProblem(programMeter("queue", ["cat", join(directory, "none")])), /none/);
  assert.match(await firstProblem(programMeter("queue", [])), /no command/);
});

test("a page's lines are watched, and why there are none is told", async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/load" ? 200 : 404;
    response.end("# two of them\nusers 12\nload 0.9\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const url = `http://127.0.0.1:${address.port}`;
  const violation = await firstViolation(pageMeter("web", `${url}/load`), "web.load > 80%", { everyMs: 20 });
  assert.equal(violation.value, 0.9);
  assert.match(await firstProblem(pageMeter("web", url)), /it answers 404/);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
  assert.match(await firstProblem(pageMeter("web", url)), /ECONNREFUSED/);
});

test("a machine's use of its reservation is watched, and ends with the machine", async () => {
  await using host = await openTaskHost({ cgroupParent: `consort-test-meters-${process.pid}` });
  const machine = host.createMachine({
    name: "busy",
    cpu: { periodUs: milliseconds(40), executionUs: milliseconds(8) },
    enforcement: "dispatch-table",
  });
  await machine.team.scheduler.start(["sh", "-c", "while :; do :; done"]);
  const meter = schedulingMeter("busy", host, machine);
  const violation = await firstViolation(meter, "usage > 1%", { everyMs: 100 });
  assert.match(violation.reason, /^busy\.usage was above 1%, .*% now$/);
  await host.destroyMachine(machine);
  assert.match(await firstProblem(meter), /destroyed/);
});

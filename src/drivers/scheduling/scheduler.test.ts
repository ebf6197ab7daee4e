import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { micros } from "#base/units.ts";
import { codeOf } from "#base/errors.ts";
import { ReservationBook } from "#control/scheduling/book.ts";
import { FakeEnforcer } from "./fake.ts";
import type { MachineRequest } from "./port.ts";
import { HostCpuScheduler } from "./scheduler.ts";

let bandwidth: FakeEnforcer;
let table: FakeEnforcer;
let scheduler: HostCpuScheduler;

beforeEach(() => {
  bandwidth = new FakeEnforcer("bandwidth");
  table = new FakeEnforcer("dispatch-table");
  const book = new ReservationBook({
    processors: [{ milli: 1000 }],
    policy: "rate-monotonic",
    quantumUs: micros(10_000),
  });
  scheduler = new HostCpuScheduler(book, [bandwidth, table]);
});

function request(id: string, executionMs: number, change: Partial<MachineRequest> = {}): MachineRequest {
  return {
    id,
    reservation: { periodUs: micros(100_000), executionUs: micros(executionMs * 1000) },
    policy: "together",
    jobs: [{ kind: "cgroup", path: `${id}/job` }],
    teams: [],
    cgroup: id,
    enforcement: "auto",
    ...change,
  };
}

const changed = (id: string, executionMs: number) =>
  new Map([[id, { periodUs: micros(100_000), executionUs: micros(executionMs * 1000) }]]);
const failsWith = (code: string) => (error: unknown) => codeOf(error) === code;

test("what does not fit is refused with the largest that would, and nothing is enforced", () => {
  scheduler.reserve(request("one", 60));
  assert.throws(
    () => scheduler.reserve(request("two", 50)),
    (error: unknown) =>
      failsWith("unsatisfiable")(error) && error instanceof Error && /largest feasible/.test(error.message),
  );
  assert.throws(() => scheduler.admit(request("two", 50)), failsWith("unsatisfiable"));
  assert.deepEqual([...bandwidth.machines.keys()], ["one"]);
});

test("what no host could keep is bad input, not a matter of what is free", () => {
  const cpu = { periodUs: micros(10_000), executionUs: micros(20_000) };
  const wide = request("wide", 1, { enforcement: "dispatch-table", reservation: cpu });
  assert.throws(() => scheduler.reserve(wide), failsWith("bad_input"));
});

test("auto is the kernel's quota, and a table for jobs that take turns or have no group", () => {
  scheduler.reserve(request("plain", 10));
  const jobs = ["a", "b"].map((name) => ({ kind: "cgroup" as const, path: name }));
  scheduler.reserve(request("turns", 10, { policy: "round-robin", jobs }));
  const { cgroup: _none, ...ungrouped } = request("ungrouped", 10);
  scheduler.reserve(ungrouped);
  assert.equal(scheduler.enforcementOf("plain"), "bandwidth");
  assert.equal(scheduler.enforcementOf("turns"), "dispatch-table");
  assert.equal(scheduler.enforcementOf("ungrouped"), "dispatch-table");
});

test("a back end that does not work here is refused by name", () => {
  assert.throws(
    () => scheduler.reserve(request("one", 10, { enforcement: "deadline" })),
    failsWith("unsupported"),
  );
  assert.equal(scheduler.enforcementOf("one"), undefined);
});

test("adapting changes all machines, or none", () => {
  scheduler.reserve(request("one", 40));
  scheduler.reserve(request("two", 40));
  scheduler.adapt(new Map([...changed("one", 20), ...changed("two", 60)]));
  assert.deepEqual([bandwidth.shareOf("one"), bandwidth.shareOf("two")], [0.2, 0.6]);
  assert.throws(
    () => scheduler.adapt(new Map([...changed("one", 30), ...changed("two", 80)])),
    failsWith("unsatisfiable"),
  );
  assert.throws(() => scheduler.adapt(changed("nobody", 10)), failsWith("not_found"));
  assert.deepEqual([bandwidth.shareOf("one"), bandwidth.shareOf("two")], [0.2, 0.6]);
});

test("when a back end fails to adapt, the book forgets the change as well", () => {
  scheduler.reserve(request("one", 20));
  bandwidth.failNext(new Error("the kernel says no"));
  assert.throws(() => scheduler.adapt(changed("one", 90)), /says no/);
  assert.equal(bandwidth.shareOf("one"), 0.2);
  scheduler.reserve(request("two", 70));
  assert.equal(bandwidth.shareOf("two"), 0.7);
});

test("when a back end fails to reserve, what was there before is there again", () => {
  scheduler.reserve(request("one", 20));
  table.failNext(new Error("the table is full"));
  assert.throws(
    () => scheduler.reserve(request("one", 30, { enforcement: "dispatch-table" })),
    /table is full/,
  );
  assert.equal(scheduler.enforcementOf("one"), "bandwidth");
  assert.equal(bandwidth.shareOf("one"), 0.2);
  assert.equal(table.machines.size, 0);
});

test("a machine that changes its back end is let go by the first", () => {
  scheduler.reserve(request("one", 20));
  scheduler.reserve(request("one", 20, { enforcement: "dispatch-table" }));
  assert.equal(bandwidth.machines.size, 0);
  assert.equal(table.shareOf("one"), 0.2);
});

test("a suspended machine keeps its reservation, also when it is adapted", () => {
  scheduler.reserve(request("one", 60));
  scheduler.suspend("one");
  assert.equal(bandwidth.shareOf("one"), 0);
  assert.throws(() => scheduler.reserve(request("two", 50)), failsWith("unsatisfiable"));
  scheduler.adapt(changed("one", 30));
  assert.equal(bandwidth.shareOf("one"), 0);
  scheduler.resume("one");
  assert.equal(bandwidth.shareOf("one"), 0.3);
});

test("what is expelled is let go and makes room", () => {
  scheduler.reserve(request("one", 80));
  scheduler.expel("one");
  scheduler.expel("one");
  assert.equal(bandwidth.shareOf("one"), undefined);
  scheduler.reserve(request("two", 80));
  assert.equal(bandwidth.shareOf("two"), 0.8);
});

test("recover() hands every back end all it has to keep, at once", () => {
  scheduler.recover([
    { ...request("one", 20), suspended: true },
    { ...request("two", 30, { enforcement: "dispatch-table" }), suspended: false },
  ]);
  assert.equal(bandwidth.shareOf("one"), 0);
  assert.equal(table.shareOf("two"), 0.3);
});

test("close() closes every back end", async () => {
  await scheduler.close();
  assert.deepEqual([bandwidth.closed, table.closed], [true, true]);
});

test("what cannot be suspended is not, and can be asked for again", () => {
  scheduler.reserve(request("one", 10));
  bandwidth.failNext(new Error("the kernel refuses"));
  assert.throws(() => scheduler.suspend("one"), /the kernel refuses/);
  scheduler.reserve(request("two", 10));
  assert.deepEqual(
    [...bandwidth.machines.values()].map(({ suspended }) => suspended),
    [false, false],
  );
  scheduler.suspend("one");
  assert.equal(bandwidth.machines.get("one")?.suspended, true);
});

test("what a back end cannot take over can be let go, and asked for again one by one", () => {
  bandwidth.failNext(new Error("the kernel refuses"));
  const present = [request("one", 60), request("two", 30)].map((each) => ({ ...each, suspended: false }));
  assert.throws(() => scheduler.recover(present), /the kernel refuses/);
  scheduler.recover([]);
  assert.deepEqual([...bandwidth.machines.keys()], []);
  scheduler.reserve(request("three", 90));
  assert.deepEqual([...bandwidth.machines.keys()], ["three"]);
});

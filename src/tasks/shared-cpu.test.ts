import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { mebibytes } from "#base/units.ts";
import { FakePromises } from "#drivers/promises/fake.ts";
import { cpuAdapt } from "./adaptation.ts";
import { of40, pretendedHost } from "./host.fixture.ts";

const refusedAs =
  (code: string, text = /./) =>
  (error: Error): boolean =>
    codeOf(error) === code && text.test(error.message);

/** Two programs on a machine of one processor and 1 GiB. */
function twoPrograms() {
  const machine = new FakePromises({ cpuMilli: 1000, memoryBytes: mebibytes(1024) });
  const host = (name: string) => pretendedHost({ promises: machine.of(name) }).host;
  return { machine, first: host("first"), second: host("second") };
}

test("what one program has reserved another cannot, until it is given back", async () => {
  const { machine, first, second } = twoPrograms();
  const gold = first.createMachine({ name: "gold", cpu: of40(24) });
  assert.equal(machine.promised.get("first")?.cpuMilli, 600);
  const tooMuch = refusedAs("unsatisfiable", /gold: .*leave 40% \(first has 60%\)/);
  assert.throws(() => second.createMachine({ name: "gold", cpu: of40(17) }), tooMuch);
  assert.deepEqual(second.vtmScheduler.getResources(), []);
  const rest = second.createMachine({ name: "rest", cpu: of40(16) });
  assert.throws(() => second.vtmScheduler.admit(rest, of40(17)), refusedAs("unsatisfiable"));
  assert.throws(() => gold.setSchedParam(of40(25)), refusedAs("unsatisfiable", /second has 40%/));
  assert.deepEqual(gold.getSchedParam(), of40(24));
  gold.setSchedParam(of40(20));
  rest.setSchedParam(of40(20));
  await second.close();
  assert.ok(!machine.promised.has("second"));
  gold.setSchedParam(of40(40));
  first.vtmScheduler.expel(gold);
  assert.equal(machine.promised.get("first")?.cpuMilli, 0);
});

test("what a program may not have by itself is not promised either", () => {
  const { machine, first } = twoPrograms();
  const x = first.createMachine({ name: "x", cpu: of40(24) });
  const y = first.createMachine({ name: "y", cpu: of40(12) });
  assert.throws(() => x.setSchedParam(of40(36)), refusedAs("unsatisfiable", /largest feasible/));
  assert.equal(machine.promised.get("first")?.cpuMilli, 900);
  cpuAdapt(x, y, { x: of40(28), y: of40(8) });
  assert.equal(machine.promised.get("first")?.cpuMilli, 900);
  cpuAdapt(x, y, { x: of40(28), y: of40(4) });
  assert.equal(machine.promised.get("first")?.cpuMilli, 800);
});

test("memory is promised by all programs together, too", async () => {
  const { first, second } = twoPrograms();
  const memoryBytes = mebibytes(600);
  const machine = first.createMachine({ name: "m", memoryBytes });
  assert.throws(
    () => second.createMachine({ name: "n", memoryBytes }),
    refusedAs("unsatisfiable", /leave 424MiB \(first has 600MiB\)/),
  );
  assert.deepEqual(second.memoryManager.getResources(), []);
  await first.destroyMachine(machine);
  second.createMachine({ name: "n", memoryBytes });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { micros } from "#base/units.ts";
import { checkTable } from "./check-table.ts";
import { buildDispatchTable } from "./dispatch-table.ts";
import type { MachineReservation, ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";
import { anyMachines, anyPolicy, anyProcessors, machine, team } from "./reservation-fixture.ts";

const whole: readonly ProcessorCapacity[] = [{ milli: 1000 }];

const settings = (
  quantumMs: number,
  processors: readonly ProcessorCapacity[] = whole,
  policy: SchedulingPolicy = "rate-monotonic",
) => ({ quantumUs: micros(quantumMs * 1000), processors, policy });

test("gold with 16 of 40 ms and best effort with 8 of 80 ms share a table of 80 ms", () => {
  const machines = [machine("gold", 16, 40), machine("best-effort", 8, 80)];
  const built = buildDispatchTable(machines, settings(8));
  assert.ok(built.ok);
  const names = [...(built.table.slots[0] ?? [])].map((slot) => built.table.targets[slot]?.machine ?? "idle");
  const idle = "idle";
  assert.deepEqual(names, ["gold", "gold", "best-effort", idle, idle, "gold", "gold", idle, idle, idle]);
  assert.deepEqual(checkTable(machines, built.table, whole), []);
});

test("teams have their parts of the machine's slots, and the rest stays with the machine", () => {
  const stream = team("stream", 8, 40, [team("audio", 4, 80)]);
  const machines = [machine("gold", 16, 40, [stream, team("control", 4, 80), team("spare")])];
  const built = buildDispatchTable(machines, settings(4));
  assert.ok(built.ok, JSON.stringify(built));
  assert.deepEqual(checkTable(machines, built.table, whole), []);
  const given = [...(built.table.slots[0] ?? [])].map((slot) => built.table.targets[slot]?.path.join("/"));
  const count = (path: string): number => given.filter((name) => name === path).length;
  assert.deepEqual(
    [count("stream"), count("stream/audio"), count("control"), count("")],
    [3, 1, 1, 3],
    "of 80 ms: 12, 4, 4 and 12 ms",
  );
});

test("a refusal names the machine, what is free and what is too much", () => {
  const refused = buildDispatchTable([machine("a", 24, 40), machine("b", 20, 40)], settings(4));
  assert.ok(!refused.ok);
  assert.equal(refused.refusal.code, "over-capacity");
  assert.match(refused.refusal.reason, /^b needs 20ms of every 40ms, 50% of a processor .* 40% of one/);
});

test("what is free is of no use when rate monotonic priorities come too late, and earliest deadlines do not", () => {
  const machines = [machine("a", 20, 40), machine("b", 30, 60)];
  const refused = buildDispatchTable(machines, settings(10));
  assert.ok(!refused.ok);
  assert.equal(refused.refusal.code, "unschedulable");
  const built = buildDispatchTable(machines, settings(10, whole, "earliest-deadline-first"));
  assert.ok(built.ok);
  assert.deepEqual(checkTable(machines, built.table, whole), []);
});

test("periods that hardly ever meet are refused with one that does", () => {
  const machines = [machine("a", 1, 997), machine("b", 1, 991)];
  const refused = buildDispatchTable(machines, settings(1));
  assert.ok(!refused.ok);
  assert.equal(refused.refusal.code, "table-too-large");
  const period = Number(/a period of (\d+)ms would do/.exec(refused.refusal.remedy ?? "")?.[1]);
  const better = machines.map((one) =>
    one.id === refused.refusal.machine ? machine(one.id, 1, period) : one,
  );
  assert.ok(buildDispatchTable(better, settings(1)).ok);
});

test("a team's period may not be shorter than its machine's, nor all teams together more than it", () => {
  const refusalOf = (machines: readonly MachineReservation[]) => {
    const built = buildDispatchTable(machines, settings(4));
    return built.ok ? undefined : built.refusal;
  };
  const hasty = refusalOf([machine("m", 16, 40, [team("hasty", 4, 20)])]);
  assert.equal(hasty?.code, "teams");
  assert.match(hasty.reason, /team hasty has a period of 20ms, it must be no shorter than the 40ms/);
  const greedy = refusalOf([machine("m", 16, 40, [team("a", 12, 40), team("b", 12, 80)])]);
  assert.match(greedy?.reason ?? "", /its teams \(a, b\) have more reserved than it has itself/);
});

test("buildDispatchTable() gives a table that keeps every reservation in every period, or is right to refuse", () => {
  const seen = { built: 0, refused: 0 };
  fc.assert(
    fc.property(
      anyMachines,
      anyProcessors,
      anyPolicy,
      fc.constantFrom(1, 2, 4, 5),
      (machines, processors, policy, quantumMs) => {
        const how = settings(quantumMs, processors, policy);
        const built = buildDispatchTable(machines, how);
        if (built.ok) {
          seen.built += 1;
          assert.deepEqual(checkTable(machines, built.table, processors), []);
          return;
        }
        seen.refused += 1;
        const { code } = built.refusal;
        if ((code === "over-capacity" || code === "unschedulable") && processors.length === 1)
          assert.ok(missesByPlainSimulation(machines, how, processors[0]?.milli ?? 0), built.refusal.reason);
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(seen.built > 200 && seen.refused > 200, JSON.stringify(seen));
});

/** Runs the most urgent machine slot by slot, until all periods begin together again. */
function missesByPlainSimulation(
  machines: readonly MachineReservation[],
  { quantumUs, policy }: ReturnType<typeof settings>,
  milli: number,
): boolean {
  const tasks = machines.map(({ reservation }) => ({
    period: Math.floor(reservation.periodUs / quantumUs),
    execution: Math.ceil(reservation.executionUs / quantumUs),
    left: 0,
    deadline: 0,
  }));
  if (tasks.some((task) => task.period === 0)) return true;
  const end = tasks.map((task) => task.period).reduce((a, b) => (a * b) / gcd(a, b), 1);
  const reservedSlots = tasks.reduce((sum, task) => sum + (task.execution * end) / task.period, 0);
  if (reservedSlots * 1000 > milli * end) return true;
  for (let slot = 0; slot <= end; slot += 1) {
    for (const task of tasks) {
      if (slot % task.period !== 0) continue;
      if (task.left > 0) return true;
      task.left = task.execution;
      task.deadline = slot + task.period;
    }
    const urgency = policy === "rate-monotonic" ? "period" : "deadline";
    const ready = tasks.filter((task) => task.left > 0).sort((a, b) => a[urgency] - b[urgency]);
    if (ready[0] !== undefined) ready[0].left -= 1;
  }
  return false;
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

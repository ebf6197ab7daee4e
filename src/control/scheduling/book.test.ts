import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { micros } from "#base/units.ts";
import { admissionRefusal, deadlineShare, shareOf, totalShare } from "./admission.ts";
import type { BookedMachine, HostCapacity } from "./admission.ts";
import { ReservationBook } from "./book.ts";
import type { BookResult } from "./book.ts";
import { checkTable } from "./check-table.ts";
import { refusalText } from "./refusal.ts";
import { anyMachines, anyPolicy, anyProcessors, machine, reservation, team } from "./reservation-fixture.ts";
import type { MachineReservation } from "./reservation.ts";

const oneProcessor: HostCapacity = { processors: [{ milli: 1000 }], policy: "rate-monotonic" };

const booked = (
  machineReservation: MachineReservation,
  kind: BookedMachine["kind"] = "dispatch-table",
): BookedMachine => ({ ...machineReservation, kind, suspended: false });

function bookOf(machines: readonly BookedMachine[], host = oneProcessor): ReservationBook {
  const book = new ReservationBook(host);
  const result = book.reserveAll(machines);
  assert.ok(result.ok, result.ok ? "" : refusalText(result.refusal));
  return book;
}

function refusalOf(result: BookResult) {
  assert.ok(!result.ok);
  return result.refusal;
}

const inTable = (book: ReservationBook): readonly BookedMachine[] =>
  book.machines().filter(({ kind }) => kind === "dispatch-table");

test("adapt() moves time from one machine to another by changing only the slots that move", () => {
  const machines = Array.from({ length: 200 }, (_, index) => booked(machine(`m${index}`, 20, 4000)));
  const book = bookOf(machines);
  const table = book.table;
  const before = [...(table.slots[0] ?? [])];
  const result = book.adapt(
    new Map([
      ["m7", reservation(30, 4000)],
      ["m9", reservation(10, 4000)],
    ]),
  );
  assert.ok(result.ok && result.effect.kind === "slots");
  assert.equal(result.effect.changes.length, 1);
  assert.equal(book.table, table);
  const moved = [...(table.slots[0] ?? [])].filter((target, slot) => target !== before[slot]);
  assert.deepEqual(moved, [table.targets.findIndex((target) => target.machine === "m7")]);
  assert.deepEqual(checkTable(inTable(book), table, oneProcessor.processors), []);
});

test("adapt() changes nothing when one side cannot be, and tells the most that could", () => {
  const book = bookOf([booked(machine("gold", 24, 40)), booked(machine("best-effort", 8, 40))]);
  const before = book.machines();
  const refusal = refusalOf(
    book.adapt(
      new Map([
        ["gold", reservation(40, 40)],
        ["best-effort", reservation(4, 40)],
      ]),
    ),
  );
  assert.deepEqual([refusal.code, refusal.machine], ["over-capacity", "gold"]);
  assert.equal(refusal.largestFeasibleUs, 36_000);
  assert.deepEqual(book.machines(), before);
  const stranger = refusalOf(book.adapt(new Map([["nobody", reservation(1, 40)]])));
  assert.equal(stranger.code, "not-here");
});

test("machines that are limited by bandwidth and those in the table share the processors", () => {
  const host: HostCapacity = { ...oneProcessor, processors: [{ milli: 1000 }, { milli: 500 }] };
  const book = bookOf(
    [booked(machine("tabled", 20, 40)), booked(machine("wide", 40, 40), "bandwidth")],
    host,
  );
  const refusal = refusalOf(book.reserve(booked(machine("late", 8, 40))));
  assert.equal(refusal.code, "over-capacity");
  assert.equal(refusal.largestFeasibleUs, 0);
  assert.ok(book.adapt(new Map([["wide", reservation(32, 40)]])).ok);
  assert.ok(book.reserve(booked(machine("late", 8, 40))).ok);
  assert.deepEqual(book.reserved, { share: 1.5, capacity: 1.5 });
});

test("a machine kept by bandwidth may have more than one processor, one in a table may not", () => {
  const host: HostCapacity = { ...oneProcessor, processors: [{ milli: 1000 }, { milli: 1000 }] };
  assert.equal(new ReservationBook(host).admit(booked(machine("wide", 60, 40), "bandwidth")), undefined);
  assert.equal(new ReservationBook(host).admit(booked(machine("wide", 60, 40)))?.code, "bad-reservation");
  assert.equal(
    new ReservationBook(host).admit(booked(machine("w", 60, 40), "deadline"))?.code,
    "bad-reservation",
  );
});

test("deadlines get no more than the kernel gives them, whatever else is free", () => {
  const host: HostCapacity = { ...oneProcessor, processors: [{ milli: 1000 }, { milli: 1000 }] };
  const book = bookOf(
    [booked(machine("a", 30, 40), "deadline"), booked(machine("b", 30, 40), "deadline")],
    host,
  );
  const refusal = refusalOf(book.adapt(new Map([["b", reservation(40, 40)]])));
  assert.equal(refusal.code, "over-capacity");
  assert.match(refusal.reason, /95% of 170% that can be kept by deadlines/);
  assert.equal(refusal.largestFeasibleUs, 38_000);
  assert.ok(book.adapt(new Map([["b", reservation(38, 40)]])).ok);
  assert.ok(book.reserve(booked(machine("c", 12, 40))).ok);
});

test("those who stay keep their slots when another machine comes and goes", () => {
  const book = bookOf([booked(machine("a", 8, 40)), booked(machine("b", 4, 80))]);
  const slotsOf = (id: string): readonly number[] =>
    [...(book.table.slots[0] ?? [])]
      .slice(0, 80_000 / book.table.quantumUs)
      .flatMap((target, slot) => (book.table.targets[target]?.machine === id ? [slot] : []));
  const before = [slotsOf("a"), slotsOf("b")];
  assert.ok(book.reserve(booked(machine("c", 8, 20))).ok);
  assert.deepEqual([slotsOf("a"), slotsOf("b")], before);
  book.expel("c");
  assert.deepEqual([slotsOf("a"), slotsOf("b")], before);
  assert.equal(slotsOf("c").length, 0);
});

test("a machine cannot shrink below what its teams have reserved", () => {
  const book = bookOf([booked(machine("gold", 24, 40, [team("streams", 16, 40)]))]);
  const refusal = refusalOf(book.adapt(new Map([["gold", reservation(12, 40)]])));
  assert.equal(refusal.code, "teams");
  assert.equal(refusal.largestFeasibleUs, undefined, "it is not the machine that is too large");
  assert.ok(book.adapt(new Map([["gold", reservation(16, 40)]])).ok);
});

test("another policy is taken when the machines that are there fit under it", () => {
  const host: HostCapacity = { ...oneProcessor, policy: "earliest-deadline-first" };
  const book = bookOf([booked(machine("a", 20, 40)), booked(machine("b", 30, 60))], host);
  assert.equal(refusalOf(book.setPolicy("rate-monotonic")).code, "unschedulable");
  assert.equal(book.policy, "earliest-deadline-first");
  assert.ok(book.adapt(new Map([["b", reservation(10, 60)]])).ok);
  assert.ok(book.setPolicy("rate-monotonic").ok);
  assert.equal(book.table.policy, "rate-monotonic");
  assert.deepEqual(checkTable(inTable(book), book.table, host.processors), []);
});

test("the largest feasible reservation is found whatever slots the one that was asked for would have", () => {
  const host: HostCapacity = { ...oneProcessor, processors: [{ milli: 333 }] };
  assert.equal(new ReservationBook(host).admit(booked(machine("m", 2, 4)))?.largestFeasibleUs, 1000);
});

test("the largest feasible reservation is looked for again above each longer one that is found", () => {
  const host: HostCapacity = {
    ...oneProcessor,
    processors: [{ milli: 1000 }, { milli: 1000 }, { milli: 500 }],
    quantumUs: micros(1000),
  };
  const times = [
    [1, 4],
    [3, 8],
    [2, 4],
    [4, 24],
    [1, 4],
    [8, 30],
    [2, 10],
  ] as const;
  const book = bookOf(
    times.map(([execution, period], index) => booked(machine(`m${index}`, execution, period))),
    host,
  );
  assert.equal(book.admit(booked(machine("m7", 46, 100)))?.largestFeasibleUs, 44_000);
  assert.equal(book.admit(booked(machine("m7", 44, 100))), undefined);
});

test("after a machine has gone, the others are admitted from nothing, on whatever processors that takes", () => {
  const host: HostCapacity = {
    ...oneProcessor,
    processors: [{ milli: 1000 }, { milli: 1000 }, { milli: 500 }],
  };
  const times = [
    [0.7, 13],
    [36.2, 80],
    [13.2, 21],
    [2, 11],
    [3.9, 13],
    [0.6, 25],
  ] as const;
  const machines = times.map(([execution, period], index) => booked(machine(`m${index}`, execution, period)));
  assert.equal(admissionRefusal(machines, host), undefined);
  for (const gone of machines) {
    const book = bookOf(machines, host);
    assert.ok(book.expel(gone.id).ok);
    assert.equal(admissionRefusal(book.machines(), host), undefined, `without ${gone.id}`);
  }
});

test("a suspended machine holds what it has reserved", () => {
  const book = bookOf([booked(machine("a", 30, 40))]);
  assert.ok(book.setSuspended("a", true));
  assert.equal(book.admit(booked(machine("b", 20, 40)))?.largestFeasibleUs, 10_000);
  assert.equal(book.setSuspended("b", true), false);
});

type Step =
  | { readonly do: "reserve"; readonly machine: MachineReservation; readonly kind: BookedMachine["kind"] }
  | { readonly do: "expel"; readonly index: number }
  | { readonly do: "suspend"; readonly index: number }
  | { readonly do: "adapt"; readonly shares: readonly { readonly index: number; readonly share: number }[] };

const anyIndex = fc.nat({ max: 6 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("reserve" as const),
      machine: fc.tuple(anyMachines, anyIndex).map(([[first = machine("m0", 1, 40)], index]) => ({
        ...first,
        id: `m${index}`,
      })),
      kind: fc.constantFrom<BookedMachine["kind"]>(
        "dispatch-table",
        "dispatch-table",
        "dispatch-table",
        "bandwidth",
        "deadline",
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("expel" as const, "suspend" as const), index: anyIndex }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("adapt" as const),
      shares: fc.uniqueArray(fc.record({ index: anyIndex, share: fc.integer({ min: 1, max: 12 }) }), {
        selector: ({ index }) => index,
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
);

function take(book: ReservationBook, step: Step): BookResult {
  if (step.do === "reserve") return book.reserve(booked(step.machine, step.kind));
  if (step.do === "expel") return book.expel(`m${step.index}`);
  if (step.do === "suspend") {
    book.setSuspended(`m${step.index}`, true);
    return { ok: true, effect: { kind: "none" } };
  }
  const machines = book.machines();
  const changes = step.shares.flatMap(({ index, share }) => {
    const { id, reservation: held } = machines[index % Math.max(1, machines.length)] ?? {};
    if (id === undefined || held === undefined) return [];
    const executionUs = micros(Math.max(1, Math.round((held.periodUs * share) / 24_000)) * 1000);
    return [[id, { periodUs: held.periodUs, executionUs }] as const];
  });
  return book.adapt(new Map(changes));
}

test("whatever is asked of a book, its table is right, and no more is reserved than there is", () => {
  const seen = { slots: 0, rebuilt: 0, none: 0, refused: 0 };
  fc.assert(
    fc.property(
      anyProcessors,
      anyPolicy,
      fc.constantFrom(undefined, 1, 4),
      fc.array(anyStep, { maxLength: 25 }),
      (processors, policy, quantumMs, steps) => {
        const host = {
          processors,
          policy,
          ...(quantumMs === undefined ? {} : { quantumUs: micros(quantumMs * 1000) }),
        };
        const book = new ReservationBook(host);
        for (const step of steps) {
          const before = { machines: book.machines(), table: copyOf(book) };
          const result = take(book, step);
          if (!result.ok) {
            seen.refused += 1;
            assert.deepEqual(book.machines(), before.machines);
            assert.deepEqual(copyOf(book), before.table);
            continue;
          }
          seen[result.effect.kind] += 1;
          assert.deepEqual(checkTable(inTable(book), book.table, processors), []);
          const taken = book.machines().reduce((sum, one) => sum + shareOf(one, book.table.quantumUs), 0);
          assert.ok(taken <= totalShare(processors) + 1e-9, `${taken} reserved`);
          const byDeadline = book
            .machines()
            .filter(({ kind }) => kind === "deadline")
            .reduce((sum, one) => sum + shareOf(one, book.table.quantumUs), 0);
          assert.ok(byDeadline <= deadlineShare(processors) + 1e-9, `${byDeadline} by deadline`);
          if (result.effect.kind === "none") assert.deepEqual(copyOf(book), before.table);
          if (result.effect.kind !== "slots") continue;
          for (const { processor, slot, target } of result.effect.changes)
            (before.table[processor] ?? [])[slot] = target;
          assert.deepEqual(before.table, copyOf(book), "the changes told are all there are");
          assert.equal(
            admissionRefusal(book.machines(), host),
            undefined,
            "it would be admitted from nothing",
          );
        }
      },
    ),
    { numRuns: 800 },
  );
  assert.ok(Math.min(...Object.values(seen)) > 200, JSON.stringify(seen));
});

const copyOf = (book: ReservationBook): number[][] => book.table.slots.map((slots) => [...slots]);

/** Enough to fill several processors. */
const severalMachines = fc
  .tuple(anyMachines, anyMachines)
  .map(([some, more]) => [...some, ...more].map((one, index) => ({ ...one, id: `m${index}` })));

test("the largest feasible reservation is admitted, and one slot more is not", () => {
  let refused = 0;
  fc.assert(
    fc.property(severalMachines, anyPolicy, anyProcessors, (machines, policy, processors) => {
      const host: HostCapacity = { processors, policy, quantumUs: micros(1000) };
      const book = new ReservationBook(host);
      for (const one of machines) {
        const result = book.reserve(booked(one));
        if (result.ok || result.refusal.code === "table-too-large") continue;
        refused += 1;
        const most = result.refusal.largestFeasibleUs ?? 0;
        const asking = (executionUs: number): BookedMachine =>
          booked({ ...one, reservation: { ...one.reservation, executionUs: micros(executionUs) } });
        if (most > 0) assert.equal(book.admit(asking(most)), undefined);
        const more = book.admit(asking(most + 1000));
        assert.ok(more !== undefined, "one slot more would fit");
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(refused > 100, `only ${refused} refused`);
});

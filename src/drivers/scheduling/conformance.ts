import assert from "node:assert/strict";
import { test } from "node:test";
import { micros } from "#base/units.ts";
import { ReservationBook } from "#control/scheduling/book.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CpuEnforcer, EnforcedMachine, JobGroup } from "./port.ts";

/** A back end with machines that always want to compute. */
export type EnforcerSubject = {
  readonly enforcer: CpuEnforcer;
  /** A busy job of a machine's own, in a group of its own below the machine's. */
  job(machine: string): JobGroup;
  /** Of the machine: where its limits go. */
  cgroup(machine: string): string | undefined;
  /** Resolves when what was last asked for is in effect. */
  settled(): Promise<void>;
  /** The part of a processor a machine gets from now on, over a while. */
  share(machine: string): Promise<number>;
  /** Whether nothing holds the machine's jobs: neither stopped nor limited. */
  isFree(machine: string): Promise<boolean>;
  /** Another owner of the same back end, after this one has died without a word; undefined: it forgets with its owner. */
  successor(): CpuEnforcer | undefined;
  close(): Promise<void>;
};

/** Other programs of the machine take their part, and what is counted is counted in the kernel's own steps. */
const tolerance = { low: 0.5, high: 1.25 };
const whole = micros(40_000);
const slot = micros(10_000);

function reservation(slots: number): Reservation {
  return { periodUs: whole, executionUs: micros(slots * slot) };
}

function machine(subject: EnforcerSubject, id: string, slots: number): EnforcedMachine {
  const cgroup = subject.cgroup(id);
  return {
    id,
    reservation: reservation(slots),
    policy: "together",
    jobs: [subject.job(id)],
    teams: [],
    suspended: false,
    ...(cgroup === undefined ? {} : { cgroup }),
  };
}

/** The book's part: what the enforcers are told has been admitted. */
function bookFor(enforcer: CpuEnforcer, machines: readonly EnforcedMachine[]): ReservationBook {
  const book = new ReservationBook({
    processors: [{ milli: 1000 }],
    policy: "rate-monotonic",
    quantumUs: slot,
  });
  const result = book.reserveAll(
    machines.map(({ id, reservation: wanted, suspended }) => ({
      id,
      kind: enforcer.kind,
      reservation: wanted,
      suspended,
      teams: [],
    })),
  );
  assert.ok(result.ok, "the suite asks for no more than there is");
  return book;
}

async function assertShare(subject: EnforcerSubject, id: string, slots: number, about = id): Promise<void> {
  await subject.settled();
  const actual = await subject.share(id);
  const wanted = (slots * slot) / whole;
  const low = wanted * tolerance.low;
  const high = wanted * tolerance.high;
  assert.ok(actual >= low && actual <= high, `${about}: got ${actual}, wanted ${low} to ${high}`);
}

export function enforcerConformance(name: string, open: () => Promise<EnforcerSubject>): void {
  const check = (what: string, run: (subject: EnforcerSubject) => Promise<void>): void => {
    test(`${name}: ${what}`, async () => {
      const subject = await open();
      try {
        await run(subject);
      } finally {
        await subject.close();
      }
    });
  };

  check("a busy machine gets what is reserved, and no more", async (subject) => {
    const machines = [machine(subject, "one", 1), machine(subject, "two", 2)];
    subject.enforcer.apply(machines, bookFor(subject.enforcer, machines).table);
    await assertShare(subject, "one", 1);
    await assertShare(subject, "two", 2);
  });

  check("adapting moves time from one to another, and nothing else", async (subject) => {
    const machines = [machine(subject, "one", 1), machine(subject, "two", 2)];
    const book = bookFor(subject.enforcer, machines);
    subject.enforcer.apply(machines, book.table);
    const changes = new Map([
      ["one", reservation(2)],
      ["two", reservation(1)],
    ]);
    const result = book.adapt(changes);
    assert.ok(result.ok);
    subject.enforcer.adapt(changes, result.effect, book.table);
    await assertShare(subject, "one", 2);
    await assertShare(subject, "two", 1);
  });

  check("a suspended machine stands still, and goes on when it is resumed", async (subject) => {
    const machines = [machine(subject, "one", 2)];
    const { table } = bookFor(subject.enforcer, machines);
    subject.enforcer.apply(machines, table);
    await assertShare(subject, "one", 2, "before");
    subject.enforcer.apply(
      machines.map((each) => ({ ...each, suspended: true })),
      table,
    );
    await subject.settled();
    assert.ok((await subject.share("one")) < 0.02, "it runs while it is suspended");
    subject.enforcer.apply(machines, table);
    await assertShare(subject, "one", 2, "after");
  });

  check("who is let go may run as any other", async (subject) => {
    const machines = [machine(subject, "one", 1), machine(subject, "two", 1)];
    subject.enforcer.apply(machines, bookFor(subject.enforcer, machines).table);
    await assertShare(subject, "two", 1, "held");
    const rest = machines.slice(0, 1);
    subject.enforcer.apply(rest, bookFor(subject.enforcer, rest).table);
    await subject.settled();
    assert.ok(await subject.isFree("two"), "who was let go is still held");
    await assertShare(subject, "one", 1, "who stays");
  });

  check("at the end nobody is held or stopped", async (subject) => {
    const machines = [machine(subject, "one", 1), { ...machine(subject, "two", 1), suspended: true }];
    subject.enforcer.apply(machines, bookFor(subject.enforcer, machines).table);
    await subject.settled();
    await subject.enforcer.close();
    assert.deepEqual([await subject.isFree("one"), await subject.isFree("two")], [true, true]);
  });

  check("counters name the machines that are kept", async (subject) => {
    const machines = [machine(subject, "one", 1)];
    subject.enforcer.apply(machines, bookFor(subject.enforcer, machines).table);
    assert.deepEqual(
      subject.enforcer.counters().map(({ id }) => id),
      ["one"],
    );
    subject.enforcer.apply([], bookFor(subject.enforcer, []).table);
    assert.deepEqual(subject.enforcer.counters(), []);
  });

  check("the next owner takes over who stays, and lets go who does not", async (subject) => {
    const machines = [
      machine(subject, "stays", 1),
      { ...machine(subject, "wakes", 1), suspended: true },
      machine(subject, "goes", 1),
    ];
    subject.enforcer.apply(machines, bookFor(subject.enforcer, machines).table);
    await assertShare(subject, "stays", 1, "before");
    const next = subject.successor();
    if (next === undefined) return;
    try {
      const kept = machines.slice(0, 2).map((each) => ({ ...each, suspended: false }));
      next.apply(kept, bookFor(next, kept).table);
      await assertShare(subject, "stays", 1, "who stays");
      await assertShare(subject, "wakes", 1, "who was suspended");
    } finally {
      await next.close();
    }
  });
}

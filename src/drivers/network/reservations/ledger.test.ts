import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bitsPerSecond, megabitsPerSecond } from "#base/units.ts";
import type { LinkTree } from "../class-tree.ts";
import { ReservationLedger } from "./ledger.ts";
import type { ShapedInterface } from "./ledger.ts";
import type { InterfaceReservation } from "./port.ts";
import type { DirectedTarget } from "./target-rules.ts";

const linkMbit = 10;

class PretendedInterface implements ShapedInterface {
  readonly classes = new Map<number, LinkTree extends ReadonlyMap<number, infer One> ? One : never>();
  targets: readonly DirectedTarget[] = [];
  refusal: Error | undefined;
  closes = 0;

  setClasses(classes: LinkTree): void {
    if (this.refusal !== undefined) throw this.refusal;
    for (const [minor, each] of classes) this.classes.set(minor, each);
  }

  dropClass(minor: number): void {
    assert.ok(!this.targets.some((each) => each.minor === minor), "something still goes to this class");
    this.classes.delete(minor);
  }

  direct(targets: readonly DirectedTarget[]): Promise<void> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    for (const { minor } of targets) assert.ok(this.classes.has(minor), "the class must be there first");
    this.targets = targets;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.classes.clear();
    this.closes += 1;
    return Promise.resolve();
  }

  /** Mbit/s of all that is reserved. */
  reserved(): number {
    const own = [...this.classes].filter(([minor]) => minor > 2);
    return own.reduce((sum, [, each]) => sum + (each.rateBytes * 8) / 1e6, 0);
  }
}

const make = () => {
  const shaped = new PretendedInterface();
  return { shaped, ledger: new ReservationLedger(megabitsPerSecond(linkMbit), shaped) };
};
const gold = (name: string, mbit: number, last = 1): InterfaceReservation => ({
  name,
  rateBps: megabitsPerSecond(mbit),
  priority: 0,
  targets: [{ address: `10.0.0.${last}` }],
});

test("no more is reserved than the interface has, and the refusal says what is left", async () => {
  const { ledger, shaped } = make();
  await ledger.reserve(gold("video", 6));
  await assert.rejects(ledger.reserve(gold("more", 4, 2)), {
    code: "unsatisfiable",
    message: /4Mbit\/s are asked for, and 3.8Mbit\/s of 9.8Mbit\/s are not/,
  });
  await ledger.reserve(gold("less", 3.8, 2));
  assert.equal(Math.round(shaped.reserved() * 10), 98);
  assert.equal(shaped.targets.length, 2);
});

test("two are adapted together or not at all", async () => {
  const { ledger } = make();
  await ledger.reserve(gold("x", 5));
  await ledger.reserve(gold("y", 4, 2));
  ledger.adapt([
    { name: "x", rateBps: megabitsPerSecond(6) },
    { name: "y", rateBps: megabitsPerSecond(3) },
  ]);
  assert.deepEqual(
    ledger.list().map(({ rateBps }) => rateBps),
    [6e6, 3e6],
  );
  const changes = [
    { name: "x", rateBps: megabitsPerSecond(7) },
    { name: "nobody", rateBps: megabitsPerSecond(1) },
  ];
  assert.throws(() => ledger.adapt(changes), { code: "not_found" });
  assert.throws(() => ledger.adapt([{ name: "x", rateBps: megabitsPerSecond(7) }]), {
    code: "unsatisfiable",
  });
  assert.deepEqual(
    ledger.list().map(({ rateBps }) => rateBps),
    [6e6, 3e6],
  );
});

test("a kernel that refuses leaves the books as they were", async () => {
  const { ledger, shaped } = make();
  await ledger.reserve(gold("x", 5));
  shaped.refusal = new Error("refused");
  await assert.rejects(ledger.reserve(gold("y", 1, 2)), /refused/);
  assert.throws(() => ledger.adapt([{ name: "x", rateBps: megabitsPerSecond(1) }]), /refused/);
  await assert.rejects(ledger.retarget("x", []), /refused/);
  await assert.rejects(ledger.release("x"), /refused/);
  assert.deepEqual(ledger.list(), [gold("x", 5)]);
});

test("a name or a target is one reservation's; nested targets are fine", async () => {
  const { ledger } = make();
  await ledger.reserve(gold("x", 1));
  await assert.rejects(ledger.reserve(gold("x", 1, 2)), { code: "conflict", message: /x has|x: it has/ });
  await assert.rejects(ledger.reserve(gold("y", 1)), { code: "conflict", message: /that of x/ });
  await ledger.reserve({ ...gold("y", 1), targets: [{ address: "10.0.0.0/24" }] });
  await assert.rejects(ledger.retarget("y", [{ address: "10.0.0.1" }]), { code: "conflict" });
  await ledger.release("x");
  await ledger.retarget("y", [{ address: "10.0.0.1" }]);
});

test("what is asked for must make sense", async () => {
  const { ledger } = make();
  const wrong: readonly Partial<InterfaceReservation>[] = [
    { rateBps: bitsPerSecond(0) },
    { ceilingBps: bitsPerSecond(1) },
    { priority: 8 },
    { targets: [] },
    { rateBps: bitsPerSecond(NaN) },
    { rateBps: "5" as unknown as InterfaceReservation["rateBps"] },
    { targets: undefined as unknown as [] },
  ];
  for (const each of wrong) {
    await assert.rejects(ledger.reserve({ ...gold("x", 1), ...each }), { code: "bad_input" });
    assert.throws(() => ledger.admit({ ...gold("x", 1), ...each }), { code: "bad_input" });
  }
  assert.deepEqual(ledger.list(), []);
});

test("an admission test refuses what reserving would, and changes nothing", async () => {
  const { ledger, shaped } = make();
  await ledger.reserve(gold("x", 5));
  ledger.admit(gold("x", 9.8));
  ledger.admit(gold("y", 4.8, 2));
  assert.throws(() => ledger.admit(gold("y", 4.9, 2)), { code: "unsatisfiable" });
  assert.throws(() => ledger.admit(gold("y", 1)), { code: "conflict", message: /that of x/ });
  assert.deepEqual(ledger.list(), [gold("x", 5)]);
  assert.equal(Math.round(shaped.reserved()), 5);
});

test("closed twice, the interface is given back once", async () => {
  const { ledger, shaped } = make();
  await Promise.all([ledger.close(), ledger.close()]);
  await ledger.close();
  assert.equal(shaped.closes, 1);
});

test("whatever is reserved, adapted and released: never more than the interface has, and the books are right", async () => {
  const name = fc.constantFrom("a", "b", "c", "d");
  const step = fc.record({
    name,
    mbit: fc.integer({ min: 1, max: 9 }),
    verb: fc.constantFrom("reserve", "adapt", "release"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { ledger, shaped } = make();
      for (const { name: who, mbit, verb } of steps) {
        const last = "abcd".indexOf(who) + 1;
        const rateBps = megabitsPerSecond(mbit);
        try {
          if (verb === "reserve") await ledger.reserve(gold(who, mbit, last));
          else if (verb === "release") await ledger.release(who);
          else ledger.adapt([{ name: who, rateBps }]);
        } catch {
          // Refused; what counts is what is there then.
        }
        const booked = ledger.list().reduce((sum, each) => sum + each.rateBps / 1e6, 0);
        assert.ok(booked <= ledger.promisableBps / 1e6);
        assert.ok(Math.abs(shaped.reserved() - booked) < 0.001);
        assert.equal(shaped.targets.length, ledger.list().length);
      }
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SegmentMember } from "#protocol/host-plan.ts";
import { exampleGuest, exampleNetwork, examplePlan, exampleShaped, exampleTraffic } from "./example-plan.ts";
import type { NetworkDriver } from "./port.ts";

/** A driver on a host of its own, whose underlay address is that of the example plans. */
export type NetworkSubject = {
  /** Recovered, with nothing on its host. */
  readonly driver: NetworkDriver;
  /** Namespaces "<prefix>1" to "<prefix>3" exist for the example guests of these numbers. */
  readonly namespacePrefix: string;
  /** Sends a few frames from one guest on this host to another and tells whether they arrived. */
  reaches(from: SegmentMember, to: SegmentMember): Promise<boolean>;
  /** Another driver on the same host, as after a restart of its manager; the first is closed before. */
  reopen(): Promise<NetworkDriver>;
  [Symbol.asyncDispose](): Promise<void>;
};

const { signal } = new AbortController();
const first = exampleGuest(1);
const second = exampleGuest(2);
const third = exampleGuest(3);
const remote = exampleGuest(9, "172.30.0.2");

/** What every network driver must do, the fake included. */
export function networkConformance(name: string, makeSubject: () => Promise<NetworkSubject>): void {
  const check = (sentence: string, body: (subject: NetworkSubject) => Promise<void>): void => {
    test(`${name}: ${sentence}`, async () => {
      await using subject = await makeSubject();
      await body(subject);
    });
  };
  const planOf = (subject: NetworkSubject, ...members: SegmentMember[]) =>
    examplePlan(members, [], subject.namespacePrefix);

  check("a host without a plan has no segments and no counters", async ({ driver }) => {
    assert.deepEqual(driver.segments(), []);
    assert.deepEqual(await driver.counters(signal), []);
  });

  check("members of a segment reach each other", async (subject) => {
    await subject.driver.converge(planOf(subject, first, second, remote), signal);
    assert.deepEqual(subject.driver.segments(), [exampleNetwork]);
    assert.ok(await subject.reaches(first, second));
    assert.ok(await subject.reaches(second, first));
  });

  check("who is no longer in the plan is out of reach, the others are not disturbed", async (subject) => {
    await subject.driver.converge(planOf(subject, first, second, third), signal);
    assert.ok(await subject.reaches(first, third));
    await subject.driver.converge(planOf(subject, first, second), signal);
    assert.equal(await subject.reaches(first, third), false);
    assert.ok(await subject.reaches(first, second));
  });

  check("the same plan again is fine, and so is the empty one, twice", async (subject) => {
    const plan = planOf(subject, first, second);
    await subject.driver.converge(plan, signal);
    await subject.driver.converge(plan, signal);
    assert.ok(await subject.reaches(first, second));
    await subject.driver.converge(planOf(subject), signal);
    await subject.driver.converge(planOf(subject), signal);
    assert.deepEqual(subject.driver.segments(), []);
  });

  check("frames are counted for the pair that sent them, also over a restart", async (subject) => {
    const plan = planOf(subject, first, second, remote);
    await subject.driver.converge(plan, signal);
    await subject.reaches(first, second);
    const sentBy = async (driver: NetworkDriver): Promise<number> =>
      (await driver.counters(signal)).find(
        (each) => each.network === exampleNetwork && each.fromMac === first.mac && each.toMac === second.mac,
      )?.packets ?? 0;
    const before = await sentBy(subject.driver);
    assert.ok(before > 0);
    const driver = await subject.reopen();
    await driver.converge(plan, signal);
    assert.ok((await sentBy(driver)) >= before, "a restart forgets nothing");
  });

  check("a restarted driver knows its segments before it is given a plan", async (subject) => {
    await subject.driver.converge(planOf(subject, first, second), signal);
    const driver = await subject.reopen();
    assert.deepEqual(driver.segments(), [exampleNetwork]);
    assert.ok(await subject.reaches(first, second), "and traffic goes on");
    await driver.converge(planOf(subject), signal);
    assert.deepEqual(driver.segments(), []);
    assert.equal(await subject.reaches(first, second), false);
  });

  check("shaped pairs may come, change and go", async (subject) => {
    for (const rates of [[10e6], [20e6, 30e6], [], [5e6]]) {
      const shaped = rates.map((rate, at) =>
        exampleShaped(first, at === 0 ? remote : second, rate, rate * 2),
      );
      await subject.driver.converge(
        examplePlan([first, second, remote], shaped, subject.namespacePrefix),
        signal,
      );
      assert.ok(await subject.reaches(first, second));
    }
  });

  check("traffic classes may come, change and go, out and in", async (subject) => {
    const each = [
      { out: 10e6 },
      { out: 20e6, in: 5e6 },
      { in: 8e6, outCeiling: 9e6 },
      {},
      { inCeiling: 9e6 },
    ];
    for (const rates of each) {
      const plan = planOf(subject, first, second, remote);
      await subject.driver.converge({ ...plan, traffic: [exampleTraffic(first, rates)] }, signal);
      assert.ok(await subject.reaches(first, second));
      assert.ok(await subject.reaches(second, first));
    }
  });

  check("an aborted call changes nothing", async (subject) => {
    await assert.rejects(
      subject.driver.converge(planOf(subject, first, second), AbortSignal.abort(new Error("enough"))),
      /enough/,
    );
    assert.deepEqual(subject.driver.segments(), []);
  });
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { Leases } from "#cluster/leases.ts";
import { paceFor } from "#cluster/pace.ts";
import { keys } from "#cluster/records.ts";
import { sampleHosts } from "#cluster/sample.ts";
import { ClusterState } from "#cluster/state.ts";
import { Term } from "#cluster/term.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";

const never = new AbortController().signal;
const a1 = hostId("a1");

async function desk() {
  const clock = new ManualClock();
  const store = fakeStore({ clock, random: seededRandom(1), log: silentLog });
  const term = await Term.take(store, clock, never);
  const state = new ClusterState(store, term);
  await state.load(never);
  const put = (key: string, value: unknown): Promise<void> =>
    state.change(() => ({ writes: [{ put: key, value }], result: undefined }), never);
  await put(keys.host(a1), sampleHosts().get(a1));
  return { clock, term, put, leases: new Leases({ clock, state, term, pace: () => paceFor(4) }) };
}

describe("Leases", () => {
  it("last no longer than the manager was sure to be in charge", async () => {
    const { clock, term, leases } = await desk();
    assert.equal(leases.grant(a1), limits.leaseMs);
    clock.advance(millis(1000));
    assert.equal(leases.grant(a1), limits.leaseMs - 1000);
    clock.advance(millis(limits.leaseMs));
    assert.equal(leases.grant(a1), 0);
    await term.confirm(never);
    assert.equal(leases.grant(a1), limits.leaseMs);
  });

  it("are granted to no host that is not on record, and to none that is fenced", async () => {
    const { put, leases } = await desk();
    assert.equal(leases.grant(hostId("unheard-of")), 0);
    await put(keys.standing(a1), { fenced: true, scheduling: "open" });
    assert.equal(leases.grant(a1), 0);
    await put(keys.standing(a1), { fenced: false, scheduling: "draining" });
    assert.equal(leases.grant(a1), limits.leaseMs);
  });

  it("are held back while a fencing is under way, until its outcome is known", async () => {
    const { leases } = await desk();
    leases.hold([a1]);
    assert.equal(leases.grant(a1), 0);
    assert.deepEqual(leases.held(), [a1]);
    leases.release([a1]);
    assert.equal(leases.grant(a1), limits.leaseMs);
  });
});

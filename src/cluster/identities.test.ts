import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { imagesNamed } from "#cluster/image-names.ts";
import { identitiesOf } from "#cluster/identities.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleImage, sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const db = "shop/db" as ApplianceId;

function counted(): { hex(length: number): string } {
  let drawn = 0;
  return {
    hex(length) {
      drawn += 1;
      return drawn.toString(16).padStart(2 * length, "0");
    },
  };
}

const never = new AbortController().signal;

describe("identitiesOf()", () => {
  it("draws one for each machine and none for tasks, and keeps those that are there", () => {
    const random = counted();
    const two = sampleEnsemble("shop", { appliances: [sampleVm("db"), sampleAppliance("web")] });
    const { identities } = identitiesOf(two, undefined, random);
    assert.deepEqual(Object.keys(identities ?? {}), [db]);
    assert.match(identities?.[db] ?? "", /^[0-9a-f]{64}$/);
    const more = sampleEnsemble("shop", { appliances: [sampleVm("db"), sampleVm("cache")] });
    const after = identitiesOf(more, identities === undefined ? {} : { identities }, random);
    assert.equal(after.identities?.[db], identities?.[db]);
    assert.equal(new Set(Object.values(after.identities ?? {})).size, 2);
    const none = sampleEnsemble("shop", { appliances: [sampleAppliance("web")] });
    assert.deepEqual(identitiesOf(none, after, random), {});
  });

  it("is told to the machine's host alone, and makes no new generation of it", () => {
    const ensemble = sampleEnsemble("shop", { appliances: [sampleVm("db"), sampleAppliance("web")] });
    const images = imagesNamed(ensemble, () => sampleImage("tiny"));
    const record = { ...sampleRecord(ensemble, { db: "a1", web: "a2" }), images };
    const bodies = (identities: ReturnType<typeof identitiesOf>) =>
      hostPlanBodies({
        ensembles: [{ ...record, ...identities }],
        hosts: sampleHosts(),
        tunnels: new Map(),
        topology: sampleTopology(),
      });
    const drawn = identitiesOf(ensemble, undefined, counted());
    const [known, unknown] = [bodies(drawn), bodies({})];
    const planOf = (all: typeof known) => all.get(hostId("a1"))?.appliances.find(({ id }) => id === db);
    const seed = drawn.identities?.[db] ?? "none was drawn";
    assert.equal(planOf(known)?.vm?.identity, seed);
    assert.equal(planOf(known)?.generation, planOf(unknown)?.generation);
    const told = [...known].filter(([, body]) => JSON.stringify(body).includes(seed));
    assert.deepEqual(
      told.map(([host]) => host),
      ["a1"],
    );
  });

  it("is in nothing that callers are shown: views, operations, explanations, snapshots", async () => {
    const made = new Cloud();
    try {
      await made.start();
      const up = await made.up(sampleEnsemble("shop", { appliances: [sampleVm("db")] }));
      assert.equal(up.state, "done", up.message);
      const plans = [...made.plans.values()].flatMap(({ appliances }) => appliances);
      const seed = plans.find(({ id }) => id === db)?.vm?.identity;
      assert.match(seed ?? "", /^[0-9a-f]{64}$/, "the host of the machine is told");
      const { cluster } = made;
      const shown = await Promise.all([
        cluster.snapshot(never),
        cluster.ensemble("shop", never),
        cluster.ensembles(never),
        cluster.declared("shop", never),
        cluster.explain("shop", never),
        cluster.hosts(never),
        cluster.operations(never),
        cluster.checkpoints("shop", never),
      ]);
      assert.ok(JSON.stringify(shown).includes("shop"));
      assert.ok(!JSON.stringify(shown).includes(seed ?? ""));
    } finally {
      made.stop();
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId } from "#base/ids.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";
import type { ApplianceStatus } from "#protocol/http/status.ts";
import type { Operation } from "#protocol/http/operation.ts";

const never = new AbortController().signal;
const shop = sampleEnsemble("shop", {
  appliances: [sampleVm("db", { machine: "q35" }), sampleAppliance("web")],
});
const db = applianceId(shop.name, "db" as never);

async function cloud(): Promise<Cloud & Disposable> {
  const made = new Cloud();
  await made.start();
  const up = await made.up(shop);
  assert.equal(up.state, "done", up.message);
  return Object.assign(made, { [Symbol.dispose]: () => made.stop() });
}

const hostsOfDb = (made: Cloud): string[] =>
  [...made.machines].flatMap(([host, { appliances }]) => (appliances.has(db) ? [host] : []));

async function status(made: Cloud): Promise<ApplianceStatus | undefined> {
  return (await made.cluster.ensemble("shop", never)).appliances.find(({ name }) => name === "db");
}

async function toDisk(made: Cloud): Promise<Operation> {
  return made.ended(await made.cluster.suspendToDisk("shop", ["db"], never));
}

async function isReadable(made: Cloud): Promise<boolean> {
  return parseSnapshot(JSON.stringify(await made.cluster.snapshot(never)), "cloud.json").ok;
}

/** What its host's plan has it begin from. */
const beginsFrom = (made: Cloud, host: string): string | undefined =>
  made.plans.get(host)?.appliances.find(({ id }) => id === db)?.vm?.restore?.checkpoints[0]?.id;

describe("suspend to disk", () => {
  it("leaves no host anything of the machine, and resume has it begin from that checkpoint where it was", async () => {
    using made = await cloud();
    const [from = ""] = hostsOfDb(made);
    const saved = await toDisk(made);
    assert.equal(saved.state, "done", saved.message);
    assert.deepEqual(hostsOfDb(made), []);
    const shown = await status(made);
    assert.deepEqual([shown?.state, shown?.message, shown?.host], ["suspended", "on disk", undefined]);
    const { checkpoints } = await made.cluster.checkpoints("shop", never);
    assert.ok(await isReadable(made), "a snapshot of it can be read");
    const resumed = await made.ended(await made.cluster.resume("shop", ["db"], never));
    assert.equal(resumed.state, "done", resumed.message);
    assert.deepEqual(hostsOfDb(made), [from]);
    assert.equal(beginsFrom(made, from), checkpoints[0]?.id);
    assert.equal((await status(made))?.state, "running");
    assert.ok(await isReadable(made), "also of what went on from a checkpoint");
  });

  it("resumes on the host that is asked for, and refuses one without room: the machine stays on disk", async () => {
    using made = await cloud();
    const to = hostsOfDb(made)[0] === "a1" ? "a2" : "a1";
    await toDisk(made);
    await made.cluster.cordon(to, never);
    await assert.rejects(made.cluster.resumeOn("shop", to, ["db"], never), { code: "unsatisfiable" });
    await assert.rejects(made.cluster.resumeOn("shop", "nowhere", ["db"], never), { code: "not_found" });
    assert.equal((await status(made))?.message, "on disk");
    await made.cluster.uncordon(to, never);
    const resumed = await made.ended(await made.cluster.resumeOn("shop", to, ["db"], never));
    assert.equal(resumed.state, "done", resumed.message);
    assert.deepEqual(hostsOfDb(made), [to]);
  });

  it("refuses tasks, what is on disk already, and every other change of what is on disk", async () => {
    using made = await cloud();
    await assert.rejects(made.cluster.suspendToDisk("shop", ["web"], never), {
      code: "bad_input",
      message: /it is a task, a virtual machine was wanted/,
    });
    await assert.rejects(made.cluster.resumeOn("shop", "a1", ["db"], never), { code: "conflict" });
    await toDisk(made);
    await assert.rejects(made.cluster.suspendToDisk("shop", ["db"], never), { code: "conflict" });
    await assert.rejects(made.cluster.suspend("shop", ["db"], never), { code: "conflict" });
    await assert.rejects(made.cluster.up(shop, never), { code: "conflict", message: /resume it first/ });
    await assert.rejects(made.cluster.log("shop", "db", 1, never), {
      code: "conflict",
      message: /shop\/db: it is suspended to disk, wanted one that runs: consort resume shop\/db/,
    });
    await assert.rejects(made.cluster.restore("shop", { appliance: "db" }), { code: "conflict" });
    assert.equal((await status(made))?.message, "on disk");
    const down = await made.ended(await made.cluster.down("shop", never));
    assert.equal(down.state, "done", down.message);
  });

  it("is called back as long as it is not saved, and then hinders no other change from being called back", async () => {
    using made = await cloud();
    const [from = ""] = hostsOfDb(made);
    const { id } = await made.cluster.suspendToDisk("shop", ["db"], never);
    made.kill(from);
    await made.cluster.cancel(id as never, never);
    made.startHost(from);
    assert.equal((await made.ended(await made.cluster.suspend("shop", ["web"], never))).state, "done");
    assert.deepEqual([hostsOfDb(made), (await status(made))?.state], [[from], "running"]);
    assert.equal((await toDisk(made)).state, "done");
    for (const host of made.machines.keys()) made.kill(host);
    const resumed = await made.cluster.resume("shop", ["web"], never);
    await made.cluster.cancel(resumed.id as never, never);
    assert.equal((await status(made))?.message, "on disk");
  });

  it("tells why it could not be saved, and the machine runs on", async () => {
    using made = await cloud();
    const [from = ""] = hostsOfDb(made);
    made.checkpointers.get(from)?.failing.add(db);
    const failed = await toDisk(made);
    assert.equal(failed.state, "failed");
    assert.match(failed.message, /runs on: .*it was to fail/);
    assert.deepEqual(hostsOfDb(made), [from]);
    made.checkpointers.get(from)?.failing.delete(db);
    assert.equal((await toDisk(made)).state, "done");
  });

  it("comes to its end whichever manager dies meanwhile, and never runs at two hosts", async () => {
    using made = await cloud();
    for (const victim of ["cluster", "a1", "a2"]) {
      const [from = ""] = hostsOfDb(made);
      const to = from === "a1" ? "a2" : "a1";
      const { id } = await made.cluster.suspendToDisk("shop", ["db"], never);
      made.kill(victim);
      if (victim === "cluster") await made.startCluster();
      else made.startHost(victim);
      const saved = await made.ended(await made.cluster.operation(id as never, never));
      assert.equal(saved.state, "done", saved.message);
      assert.deepEqual(hostsOfDb(made), []);
      const again = await made.cluster.resumeOn("shop", to, ["db"], never);
      made.kill(victim);
      if (victim === "cluster") await made.startCluster();
      else made.startHost(victim);
      while ((await made.cluster.operation(again.id as never, never)).state === "running") {
        assert.ok(hostsOfDb(made).length <= 1, "it is at two hosts");
        await made.turn();
      }
      assert.deepEqual(hostsOfDb(made), [to]);
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";
import type { CheckpointRequestStatus, CheckpointStatus } from "#protocol/http/checkpoint.ts";

const never = new AbortController().signal;
const db = "shop/db" as ApplianceId;

/** Each fills more than half of a host. */
const large = (name: string) =>
  sampleVm(name, { memoryBytesMax: mebibytes(600) }, { memoryBytes: mebibytes(600) });

async function cloud(): Promise<Cloud & Disposable> {
  const made = new Cloud();
  await made.start();
  const up = await made.up(sampleEnsemble("shop", { appliances: [large("db"), large("web")] }));
  assert.equal(up.state, "done", up.message);
  return Object.assign(made, { [Symbol.dispose]: () => made.stop() });
}

async function taken(
  made: Cloud,
  wish: Parameters<Cloud["cluster"]["takeCheckpoints"]>[1],
): Promise<CheckpointRequestStatus> {
  const { id } = await made.cluster.takeCheckpoints("shop", wish, never);
  for (;;) {
    const { requests } = await made.cluster.checkpoints("shop", never);
    const request = requests.find((one) => one.id === id);
    if (request !== undefined && request.state !== "taking") return request;
    await made.turn();
  }
}

const kept = async (made: Cloud, id: string): Promise<CheckpointStatus[]> =>
  (await made.cluster.checkpoints("shop", never)).checkpoints.filter((one) => one.id === id);

/** Who is paused at a host now, and what its plan has that machine begin from. */
const hostOf = (made: Cloud): string =>
  [...made.machines].find(([, { appliances }]) => appliances.has(db))?.[0] ?? "nowhere";
const beginsFrom = (made: Cloud): string | undefined =>
  made.plans.get(hostOf(made))?.appliances.find(({ id }) => id === db)?.vm?.restore?.checkpoints[0]?.id;

describe("checkpoints on request", () => {
  it("are of one moment on several hosts when asked for together", async () => {
    using made = await cloud();
    const hosts = new Set(made.running().map((one) => one.split("@")[1]));
    assert.equal(hosts.size, 2, made.running().join());
    const request = await taken(made, { appliances: [], together: true });
    assert.deepEqual([request.state, request.message], ["done", undefined]);
    const all = await kept(made, request.id);
    assert.deepEqual(all.map(({ appliance }) => appliance).sort(), ["shop/db", "shop/web"]);
    assert.deepEqual(
      all.map(({ group }) => group),
      [request.id, request.id],
    );
  });

  it("fail together when one of them does, and nobody stays paused", async () => {
    using made = await cloud();
    for (const one of made.checkpointers.values()) one.failing.add(db);
    const request = await taken(made, { appliances: [], together: true });
    assert.equal(request.state, "failed");
    assert.match(request.message ?? "", /Cannot take a checkpoint of shop\/db/);
    for (const one of made.checkpointers.values()) assert.deepEqual([...one.paused], []);
  });

  it("serve by their names: a machine is set back to an older one, and only to one there is", async () => {
    using made = await cloud();
    const wish = { appliances: ["db"], together: false };
    const older = await taken(made, wish);
    const newer = await taken(made, wish);
    const back = async (checkpoint?: string): Promise<string | undefined> => {
      const from = { appliance: "db", ...(checkpoint === undefined ? {} : { checkpoint }) };
      const done = await made.ended(await made.cluster.restore("shop", from));
      assert.equal(done.state, "done", done.message);
      return beginsFrom(made);
    };
    assert.equal(await back(), newer.id);
    assert.equal(await back(older.id), older.id);
    await assert.rejects(made.cluster.restore("shop", { appliance: "db", checkpoint: "r-0" }), {
      code: "not_found",
      message: /^Cannot restore shop\/db: it has no checkpoint "r-0", there are /,
    });
  });
});

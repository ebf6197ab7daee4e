import assert from "node:assert/strict";
import { test } from "node:test";
import { mebibytes, millis } from "#base/units.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";

const never = new AbortController().signal;
const store = "s3://backups/shop";
const checkpoint = { everyMs: millis(3_600_000), copies: 1, keep: 1, store };
const shop = sampleEnsemble("shop", {
  appliances: [sampleVm("db", { checkpoint, memoryBytesMax: mebibytes(64) }, { memoryBytes: mebibytes(64) })],
});

async function taken(made: Cloud): Promise<string> {
  const { id } = await made.cluster.takeCheckpoints("shop", { appliances: [], together: false }, never);
  for (;;) {
    const { requests, checkpoints } = await made.cluster.checkpoints("shop", never);
    assert.notEqual(requests.find((one) => one.id === id)?.state, "failed");
    if (checkpoints.some((one) => one.id === id)) return id;
    await made.turn();
  }
}

async function until(made: Cloud, holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await made.turn();
}

const leftovers = async (made: Cloud): Promise<string[]> =>
  (await made.cluster.checkpoints("shop", never).catch(() => ({ leftovers: [] }))).leftovers.map(
    ({ message }) => message ?? "under way",
  );

test("what a store keeps of an ensemble that was removed goes, once the store answers, also after a restart", async () => {
  const made = new Cloud();
  try {
    await made.start();
    assert.equal((await made.up(shop)).state, "done");
    const id = await taken(made);
    const [place = ""] = made.stored.keys();
    assert.match(place, /^s3:\/\/backups\/shop\/[0-9a-f]{16}$/);
    assert.deepEqual([...(made.stored.get(place) ?? [])], [id]);
    made.storeAnswers = false;
    await made.ended(await made.cluster.down("shop", never));
    await until(made, async () => (await leftovers(made)).includes("Cannot reach the store"));
    made.kill("cluster");
    await made.startCluster();
    await until(made, async () => (await leftovers(made)).length === 1);
    assert.equal((await made.up(shop)).state, "done");
    const again = await taken(made);
    made.storeAnswers = true;
    // Whoever begins anew asks at once.
    for (const name of made.machines.keys()) made.kill(name);
    for (const name of made.machines.keys()) made.startHost(name);
    await until(made, () => !made.stored.has(place));
    await until(made, async () => (await leftovers(made)).length === 0);
    assert.deepEqual(
      [...made.stored.values()].map((all) => [...all]),
      [[again]],
    );
  } finally {
    made.stop();
  }
});

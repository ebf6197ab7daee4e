import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { s3Server } from "../transfer/servers.ts";
import { CheckpointRig, id } from "./checkpointing.ts";

const signal = AbortSignal.timeout(900_000);

test("checkpoints in a store: records last, what is not needed any more goes, another host goes on from there", async () => {
  await using rig = await CheckpointRig.open(signal);
  const server = await s3Server(`${rig.directory}/s3`);
  try {
    const { secret } = server;
    const store = server.url.replace(/\/$/, "");
    const policy = { copies: 1, keep: 1, store, credentials: "store" };
    const a = await rig.host("a", { secret });
    const machine = await rig.start(a);
    await machine.shell("echo here > /data/x");
    const transfer = openTransfer({ clock: systemClock(), roots: [] });
    const list = (path: string): Promise<readonly string[]> =>
      transfer.list({ url: `${store}/${id}${path}`, secret }, signal);
    for (const name of ["s1", "s2"]) {
      await a.checkpoints.take({ appliance: id, id: name, generation: "1", policy }, signal);
    }
    const records = (await list("")).filter((name) => name.endsWith(".json"));
    assert.deepEqual(records.toSorted(), ["s1.json", "s2.json"]);
    const parts = new Set(await list("/parts"));
    assert.ok(parts.size >= 3, [...parts].join());
    const sum = await machine.shell("cat /data/x");
    await machine.kill();
    const b = await rig.host("b", { secret });
    const restored = await rig.restored(b, rig.chain(a), [], store);
    assert.equal(await restored.shell("cat /data/x"), sum);
  } finally {
    await server.close();
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultLabTopology } from "#formats/topology.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { overlaps, smallestGapMs } from "./intervals.ts";
import type { Life } from "./intervals.ts";
import { losses } from "./losses.ts";
import type { Loss } from "./losses.ts";
import { lossEnsemble } from "./ensemble.ts";
import { startWitness } from "./witness.ts";
import type { Witness } from "./witness.ts";

const lab = "testloss";
/** Only against a test that would never end. */
const giveUpMs = 300_000;

async function hostOf(rig: Rig, appliance: string, signal: AbortSignal): Promise<string> {
  const { appliances } = await rig.status("loss", signal);
  const host = appliances.find((one) => one.name === appliance)?.host;
  assert.ok(host !== undefined, `${appliance} has no host`);
  return host;
}

const reachesPulse = async (rig: Rig, signal: AbortSignal): Promise<boolean> => {
  const command = ["ping", "-c1", "-W1", "pulse"];
  return (await rig.exec("loss", "peer", command, signal)).exitCode === 0;
};

async function loseAndReturn(rig: Rig, witness: Witness, loss: Loss, signal: AbortSignal): Promise<void> {
  const lost = await hostOf(rig, "pulse", signal);
  const seen = async () => (await witness.lives()).filter((life) => life.appliance !== "guest");
  const before = await seen();
  await loss.lose(rig, lost, signal);
  await eventually("its appliances run elsewhere", signal, async () => {
    const { appliances } = await rig.status("loss", signal);
    return appliances.every((one) => one.state === "running" && one.host !== lost);
  });
  await eventually("its links are made again", signal, () => reachesPulse(rig, signal));
  await loss.giveBack(rig, lost, signal);
  await eventually("it is clean and takes part again", signal, async () => {
    const host = (await rig.hosts(signal)).find((one) => one.id === lost);
    return host?.state === "ready" && !host.fenced && host.scheduling === "open";
  });
  await rig.up(lossEnsemble("guest", { guest: [lost] }), signal);
  assert.equal((await rig.status("guest", signal)).state, "running", "it gets new appliances");
  await rig.down("guest", signal);
  const after = await seen();
  assert.deepEqual(overlaps(after), [], "two instances ran at once");
  assert.ok(after.length > before.length, "the witness saw no new instance");
  assert.ok((smallestGapMs(after) ?? 0) > 0);
}

const newestStampNs = (lives: readonly Life[]): bigint =>
  lives.reduce((newest, { lastNs }) => (lastNs > newest ? lastNs : newest), 0n);

/** It wakes up and has heard from no host for longer than it takes to lose one: that proves nothing. */
async function clusterAway(rig: Rig, witness: Witness, signal: AbortSignal): Promise<void> {
  const before = await witness.lives();
  const pid = rig.managerPid("cluster");
  assert.ok(pid !== undefined);
  process.kill(pid, "SIGSTOP");
  try {
    const silentNs = 2_000_000_000n;
    await eventually("nothing leased runs", signal, async () => {
      return process.hrtime.bigint() - newestStampNs(await witness.lives()) > silentNs;
    });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const wokenNs = process.hrtime.bigint();
  await eventually("all go on", signal, async () => {
    const { appliances, state } = await rig.status("loss", signal);
    const going = (await witness.lives()).filter(({ lastNs }) => lastNs > wokenNs);
    return state === "running" && going.length === appliances.length;
  });
  const after = await witness.lives();
  assert.equal(after.length, before.length, "one was started anew");
  assert.deepEqual(overlaps(after), []);
}

test("appliances of a lost host run elsewhere, and never twice", async (t) => {
  const before = await machineFacts(lab);
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const rig = await startRig(lab, defaultLabTopology(2, 2), signal);
  try {
    await using witness = startWitness(rig.stateDir);
    const places = { pulse: ["a1", "a2"], second: ["a1", "a2"], peer: ["b1"] };
    await rig.up(lossEnsemble("loss", places), signal);
    await eventually("linked", signal, () => reachesPulse(rig, signal));
    for (const loss of losses) {
      await t.test(loss.name, () => loseAndReturn(rig, witness, loss, signal));
    }
    await t.test("without the cluster manager they are held, and go on where they were", () =>
      clusterAway(rig, witness, signal),
    );
  } finally {
    await rig.close();
  }
  assert.deepEqual(await machineFacts(lab), before, "something of it is left");
});

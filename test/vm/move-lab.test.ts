import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { mebibytes } from "#base/units.ts";
import { plainTopology } from "../lab/machine.ts";
import { assertHeard, waitingJob } from "../rig/jobs.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, readEnsembleFile, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";

const lab = "testmove";
const giveUpMs = 150_000;

/** As a user types it. */
async function consort(rig: Rig, ...args: string[]): Promise<string> {
  const at = ["--api", rig.apiUrl(), "--token-file", join(rig.stateDir, "token")];
  const { stdout } = await promisify(execFile)("bin/consort", [...args, ...at]);
  return stdout;
}

async function startedAtMs(rig: Rig, signal: AbortSignal): Promise<number | undefined> {
  const { appliances } = await rig.status("mixed", signal);
  return appliances.find(({ kind }) => kind === "vm")?.startedAtMs;
}

async function hostOf(rig: Rig, signal: AbortSignal): Promise<string> {
  const { appliances } = await rig.status("mixed", signal);
  return appliances.find(({ kind }) => kind === "vm")?.host ?? "nowhere";
}

test("a machine moves between hosts while managers of both are killed, and nothing is left of it afterwards", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  {
    await using stack = new AsyncDisposableStack();
    const topology = plainTopology({ sites: 1, hostsPerSite: 2 });
    const hosts = topology.hosts.map((host) => ({ ...host, memoryBytes: mebibytes(768) }));
    const rig = await startRig(lab, { ...topology, hosts }, signal);
    stack.defer(() => rig.close());
    const mixed = readEnsembleFile("examples/mixed.yaml");
    const one = { ...mixed, appliances: mixed.appliances.map((each) => ({ ...each, replicas: 1 })) };
    await consort(rig, "image", "build", "tiny");
    await rig.up(one, signal);
    const run = async (...command: string[]): Promise<string> =>
      (await rig.exec("mixed", "server", command, signal)).stdout.trim();
    await eventually("an answer of the guest", signal, async () => (await run("hostname")) === "server");
    await run("sh", "-c", "echo remembered > /tmp/here");
    const begunAtMs = await startedAtMs(rig, signal);
    assert.ok(begunAtMs !== undefined);
    const job = await waitingJob(rig, "mixed/server", "/tmp/end", signal);

    const ask = async (to: string): Promise<string> =>
      consort(rig, "migrate", "mixed/server", "--to", to, "--detach");
    for (const victim of ["leaving", "arriving", "cluster"]) {
      const from = await hostOf(rig, signal);
      const to = hosts.find(({ id }) => id !== from)?.id ?? "";
      await ask(to);
      const name = { leaving: `host-${from}`, arriving: `host-${to}`, cluster: "cluster" }[victim] ?? "";
      const pid = rig.managerPid(name);
      assert.ok(pid !== undefined, name);
      process.kill(pid, "SIGKILL");
      await rig.repair(signal);
      await eventually("the end of its move", signal, async () => {
        const operations = await rig.client().request<{ state: string }[]>("GET", "/v1/operations", signal);
        return operations.every(({ state }) => state !== "running");
      });
      // Whichever way it went, it is what it was, and in one place.
      await eventually("it answers", signal, async () => (await run("cat", "/tmp/here")) === "remembered");
      await eventually("it is as old", signal, async () => (await startedAtMs(rig, signal)) === begunAtMs);
    }
    // Wherever it is now, what ran in it all the while still does, and its new host hears of its end.
    await run("touch", "/tmp/end");
    await assertHeard(rig, job, signal);
    await rig.down("mixed", signal);
  }
  assert.deepEqual(await machineFacts(lab), before);
});

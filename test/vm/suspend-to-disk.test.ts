import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { mebibytes } from "#base/units.ts";
import type { ApplianceStatus } from "#protocol/http/status.ts";
import { plainTopology } from "../lab/machine.ts";
import { assertHeard, waitingJob } from "../rig/jobs.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, readEnsembleFile, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";

const lab = "testpark";
const giveUpMs = 150_000;

/** Counts in its memory and tells through a file that it keeps open. */
const counter = `(exec 3> /tmp/ticks; n=0; while :; do n=$((n+1)); echo $n >&3; sleep 0.05; done) > /dev/null 2>&1 < /dev/null & echo $!`;

async function consort(rig: Rig, ...args: string[]): Promise<string> {
  const at = ["--api", rig.apiUrl(), "--token-file", join(rig.stateDir, "token")];
  const { stdout } = await promisify(execFile)("bin/consort", [...args, ...at]);
  return stdout;
}

async function server(rig: Rig, signal: AbortSignal): Promise<ApplianceStatus | undefined> {
  const { appliances } = await rig.status("mixed", signal);
  return appliances.find(({ kind }) => kind === "vm");
}

test("a machine goes to disk though its host's manager is killed, and goes on at another host with its memory and open files", async (t) => {
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
    const run = async (command: string): Promise<string> =>
      (await rig.exec("mixed", "server", ["sh", "-c", command], signal)).stdout.trim();
    const ticks = async (): Promise<number> => Number(await run("tail -n 1 /tmp/ticks"));
    await eventually("an answer of the guest", signal, async () => (await run("hostname")) === "server");
    const pid = await run(counter);
    await eventually("it counts", signal, async () => (await ticks()) > 3);
    const counted = await ticks();
    const job = await waitingJob(rig, "mixed/server", "/tmp/end", signal);
    const from = (await server(rig, signal))?.host ?? "nowhere";
    const to = hosts.find(({ id }) => id !== from)?.id ?? "";

    await consort(rig, "suspend", "mixed/server", "--to-disk", "--detach");
    const manager = rig.managerPid(`host-${from}`);
    assert.ok(manager !== undefined);
    process.kill(manager, "SIGKILL");
    await rig.repair(signal);
    await eventually("it is on disk", signal, async () => {
      const now = await server(rig, signal);
      return now?.state === "suspended" && now.message === "on disk" && now.host === undefined;
    });
    await eventually("the end of its suspension", signal, async () => {
      const all = await rig.client().request<{ state: string }[]>("GET", "/v1/operations", signal);
      return all.every(({ state }) => state === "done");
    });

    await consort(rig, "resume", "mixed/server", "--to", to);
    assert.equal((await server(rig, signal))?.host, to);
    await eventually("it goes on counting", signal, async () => (await ticks()) > counted);
    assert.equal(await run(`kill -0 ${pid} && echo lives`), "lives", "it is the same process");
    assert.equal(await run("head -n 1 /tmp/ticks"), "1", "it is the same file");
    await run("touch /tmp/end");
    await assertHeard(rig, job, signal);
    await rig.down("mixed", signal);
  }
  assert.deepEqual(await machineFacts(lab), before);
});

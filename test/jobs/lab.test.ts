import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { seededRandom } from "#base/seeded-random.ts";
import { mebibytes, millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import { plainTopology } from "../lab/machine.ts";
import { ended, statusOf, submit, written } from "../rig/jobs.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, startRig } from "../rig/rig.ts";

const lab = "testjobs";
const giveUpMs = 170_000;
const clock = systemClock();
const seed = Number(process.env["CONSORT_SEED"] ?? 7) || 7;
/** What hosts open to jobs when they are not told otherwise. */
const opened = "/srv/consort";

test("jobs in a lab: through deaths of every manager, in machines of their own, and in guests over SSH", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  {
    await using stack = new AsyncDisposableStack();
    const topology = plainTopology({ sites: 1, hostsPerSite: 2 });
    const hosts = topology.hosts.map((host) => ({ ...host, memoryBytes: mebibytes(512) }));
    const rig = await startRig(lab, { ...topology, hosts }, signal);
    stack.defer(() => rig.close());
    mkdirSync(opened, { recursive: true });
    const files = mkdtempSync(join(opened, "test-jobs-"));
    stack.defer(() => rmSync(files, { recursive: true, force: true }));
    const shop = parseEnsemble("ensemble: shop\nappliances: {worker: {command: sleep infinity}}\n", {
      file: "shop",
    });
    assert.ok(shop.ok);
    await rig.up(shop.value, signal);

    await t.test(
      `it runs once and tells how it ended, whoever is killed meanwhile (CONSORT_SEED=${seed})`,
      async () => {
        const random = seededRandom(seed);
        const worker = (await rig.status("shop", signal)).appliances[0];
        for (let round = 0; round < 4; round += 1) {
          const text = `job: r${round}\nappliance: shop/worker\ncommand: [sh, -c, "echo ${round} >>/tmp/begun; sleep 1; echo end; exit 5"]`;
          const { id } = await submit(rig, text, signal);
          for (const manager of [`host-${worker?.host}`, "cluster"]) {
            await clock.sleep(millis(random.integer(700)), signal);
            const pid = rig.managerPid(manager);
            if (pid !== undefined) process.kill(pid, "SIGKILL");
          }
          const job = await ended(rig, id, signal);
          const { stdout } = await rig.exec(
            "shop",
            "worker",
            ["grep", "-c", `^${round}$`, "/tmp/begun"],
            signal,
          );
          const story = `round ${round}: ${JSON.stringify(job)}`;
          // One that was killed between its record and its beginning has not begun, and says so.
          if (job.exitCode === undefined) assert.match(job.message ?? "", /cut off as it began/, story);
          else
            assert.deepEqual(
              [job.exitCode, stdout.trim(), await written(rig, id, signal)],
              [5, "1", "end\n"],
              story,
            );
          assert.deepEqual([job.state, job.attempt], ["failed", 1], story);
        }
      },
    );

    await t.test("a machine of its own is made for it, and nothing is left of it", async () => {
      writeFileSync(join(files, "in"), "the input\n");
      const text = `job: own
machine: {memory: 32MiB}
command: [sh, -c, "cat in; echo made >out"]
stageIn: [{from: "file://${files}/in", to: in}]
stageOut: [{from: out, to: "file://${files}/out"}]`;
      const { id } = await submit(rig, text, signal);
      const job = await ended(rig, id, signal);
      assert.equal(job.state, "done", JSON.stringify(job));
      assert.equal(await written(rig, id, signal), "the input\n");
      assert.equal(readFileSync(join(files, "out"), "utf8"), "made\n");
      await eventually("its machine is gone", signal, async () => {
        const all = await rig.client().request<{ name: string }[]>("GET", "/v1/ensembles", signal);
        return all.every(({ name }) => name === "shop");
      });
      await rig.client().request("DELETE", `/v1/jobs/${id}`, signal);
      await assert.rejects(statusOf(rig, id, signal), { code: "not_found" });
    });

    await t.test("one that is cancelled ends", async () => {
      const { id } = await submit(
        rig,
        "job: long\nappliance: shop/worker\ncommand: sleep 1000\nretry: 5",
        signal,
      );
      await eventually("it runs", signal, async () => (await statusOf(rig, id, signal)).state === "running");
      await rig.client().request("POST", `/v1/jobs/${id}/cancel`, signal);
      assert.equal((await ended(rig, id, signal)).state, "cancelled");
    });

    await t.test("in a virtual machine of its own it runs over SSH, with its files", async () => {
      const at = ["--api", rig.apiUrl(), "--token-file", join(rig.stateDir, "token")];
      await promisify(execFile)("bin/consort", ["image", "build", "tiny", ...at]);
      const text = `job: guest
machine: {kind: vm, image: tiny}
command: [sh, -c, "id -un; cat in; test -n \\"$SSH_CONNECTION\\" && echo over SSH; uname -r >out; exit 3"]
stageIn: [{from: "file://${files}/in", to: in}]
stageOut: [{from: out, to: "file://${files}/kernel", always: true}]`;
      const { id } = await submit(rig, text, signal);
      const job = await ended(rig, id, signal);
      assert.deepEqual([job.state, job.exitCode], ["failed", 3], JSON.stringify(job));
      assert.equal(await written(rig, id, signal), "root\nthe input\nover SSH\n");
      assert.match(readFileSync(join(files, "kernel"), "utf8"), /^6\.1\..*cloud/);
    });
    await rig.down("shop", signal);
  }
  assert.deepEqual(await machineFacts(lab), before);
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { millis } from "#base/units.ts";
import { profileOf } from "#control/profile/profile.ts";
import { proposalOf } from "#control/profile/proposal.ts";
import { LocalRunner } from "#drivers/profile/local-runner.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

const { signal } = new AbortController();
const clock = systemClock();
const cgroups = systemCgroups(clock);
const worker = fileURLToPath(new URL("worker.child.ts", import.meta.url));
const runnerProgram = fileURLToPath(new URL("runner.child.ts", import.meta.url));

async function withRunner<Result>(work: (runner: LocalRunner) => Promise<Result>): Promise<Result> {
  const runner = new LocalRunner({ cgroups, subprocess: systemSubprocess(), clock, pid: process.pid });
  try {
    return await work(runner);
  } finally {
    await runner.close();
    assert.deepEqual(await traces(process.pid), []);
  }
}

/** What a runner of that process has on this machine. */
async function traces(pid: number): Promise<string[]> {
  const tables = await systemSubprocess().check("nft", ["list", "tables"], signal);
  return [
    ...(cgroups.open(`consort-profile/${pid}`).exists() ? ["a control group"] : []),
    ...(tables.includes(`consort_profile_${pid}`) ? ["a table"] : []),
  ];
}

const alive = (pid: number): boolean => existsSync(join("/proc", String(pid)));

describe("a profile of a real program", () => {
  it("finds 10 ms in every 40 ms, and what that is of a processor", async () => {
    const runs = await withRunner(async (runner) => {
      const command = [process.execPath, worker, "10", "40", "4000"];
      return [await runner.run({ command }, signal), await runner.run({ command }, signal)];
    });
    const profile = profileOf(runs, { coveredPart: 0.95 });
    // Generous: others may use this machine meanwhile.
    const seen = JSON.stringify(profile);
    assert.ok(profile.utilisation.mean > 0.2 && profile.utilisation.mean < 0.3, seen);
    assert.equal(profile.period?.from, "rhythm", seen);
    assert.ok(Math.abs((profile.period?.ms ?? 0) - 40) < 2, seen);
    const { cpu } = proposalOf(profile);
    assert.ok(
      cpu !== undefined && cpu.executionUs >= 9_000 && cpu.executionUs <= 25_000,
      JSON.stringify(cpu),
    );
    assert.ok(runs.every(({ exitCode }) => exitCode === 0));
    assert.ok(profile.memoryPeakBytes > 1_000_000);
  });

  it("counts what the program sends, and not what others do", async () => {
    const send = `const s = require("node:dgram").createSocket("udp4");
      let left = 200;
      const next = () => left-- > 0 ? s.send(Buffer.alloc(1000), 9, "127.0.0.1", () => setTimeout(next, 1)) : s.close();
      next();`;
    const [own, other] = [send, send.replace("200", "100")];
    const run = await withRunner(async (runner) => {
      const beside = spawn(process.execPath, ["-e", other]);
      const measured = await runner.run({ command: [process.execPath, "-e", own] }, signal);
      if (beside.exitCode === null) await once(beside, "exit");
      return measured;
    });
    assert.equal(run.outBytes, 200 * (1000 + 8 + 20 + 14));
  });

  it("ends what does not end by itself, with all it started", async () => {
    const started = await withRunner(async (runner) => {
      const command = ["sh", "-c", "sleep 1000 & echo $! >&2; trap '' TERM; while :; do sleep 1; done"];
      const run = await runner.run({ command, forMs: millis(300) }, signal);
      assert.equal(run.exitCode, undefined);
      return Number(run.lastWords.split("\n")[0]);
    });
    assert.ok(started > 0);
    assert.equal(alive(started), false);
  });

  it("kills the program when it is interrupted, and leaves nothing", async () => {
    const stop = new AbortController();
    const reason = new Error("interrupted");
    await withRunner(async (runner) => {
      const running = runner.run({ command: ["sleep", "1000"] }, stop.signal);
      stop.abort(reason);
      await assert.rejects(running, reason);
    });
  });

  it("tells a program that is not there, and how one failed", async () => {
    await withRunner(async (runner) => {
      await assert.rejects(runner.run({ command: ["no-such-program"] }, signal), {
        code: "driver_failed",
        message: "Cannot run no-such-program: not found, wanted a program in PATH",
      });
      await assert.rejects(runner.run({ command: ["/etc/passwd"] }, signal), {
        code: "driver_failed",
        message: "Cannot run /etc/passwd: permission denied",
      });
      const { exitCode } = await runner.run({ command: ["sh", "-c", "no-such-program"] }, signal);
      assert.equal(exitCode, 127, "its own");
      const failed = await runner.run({ command: ["sh", "-c", "echo oh no >&2; exit 3"] }, signal);
      assert.deepEqual([failed.exitCode, failed.lastWords], [3, "oh no"]);
    });
  });

  it("clears away what a runner left that was killed; the kernel did its part at once", async () => {
    const killed = spawn(process.execPath, [runnerProgram], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(killed.stdout, "data")) as [Buffer];
    const program = Number(line.toString());
    const { pid = 0 } = killed;
    assert.deepEqual(await traces(pid), ["a control group", "a table"]);
    killed.kill("SIGKILL");
    await once(killed, "exit");
    assert.deepEqual(await traces(pid), ["a control group"]);
    assert.equal(alive(program), true);
    await withRunner((runner) => runner.run({ command: ["true"] }, signal));
    assert.deepEqual(await traces(pid), []);
    assert.ok(!alive(program) || isZombie(program));
  });
});

const isZombie = (pid: number): boolean => /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

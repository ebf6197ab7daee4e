import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { groupName } from "#drivers/system/doctor/abandoned-groups.ts";
import { readLayout } from "#drivers/system/doctor/cgroup-probes.ts";
import { runDoctor } from "#drivers/system/doctor/doctor.ts";
import { formatDoctor } from "#drivers/system/doctor/format.ts";
import { summarise } from "#drivers/system/doctor/report.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

const { signal } = new AbortController();
const subprocess = systemSubprocess();

async function examine(): Promise<Awaited<ReturnType<typeof runDoctor>>> {
  const directory = mkdtempSync(join(tmpdir(), "doctor-test-"));
  try {
    const { version, execPath, arch, pid } = process;
    const deps = { subprocess, directory, nodeVersion: version, nodePath: execPath, arch, pid };
    const report = await runDoctor({ ...deps, uid: process.getuid?.() }, signal);
    assert.deepEqual(readdirSync(directory), [], "left behind in the state directory");
    return report;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Our links, mounts, groups and files; other programs of the machine come and go meanwhile. */
async function traces(): Promise<string[]> {
  const links = await subprocess.check("ip", ["-br", "link"], signal);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  const rules = await subprocess.check("nft", ["list", "tables"], signal, { timeoutMs: millis(5000) });
  const groups = [...mounts.matchAll(/ (\/sys\/fs\/cgroup\S*) /g)].flatMap(([, point]) =>
    readdirSync(point ?? "/"),
  );
  const files = readdirSync(tmpdir());
  return [...links.split("\n"), ...mounts.split("\n"), ...rules.split("\n"), ...groups, ...files].filter(
    (line) => /probe[01]|consort-doctor/.test(line),
  );
}

test("the machine that runs these tests can run Consort, and the doctor knows", async () => {
  const report = await examine();
  assert.deepEqual(summarise(report).blocking, [], formatDoctor(report));
  const ids = new Set(report.items.map((item) => item.id));
  for (const id of ["node", "cgroup-cpu", "nft-bridge", "htb", "enforcement-bandwidth", "kvm", "tool-ip"])
    assert.ok(ids.has(id), id);
});

test("what a killed doctor left among the temporary files goes with the next one", async () => {
  const { pid: dead } = spawnSync("true");
  const left = join(tmpdir(), `consort-doctor-${dead}-a1B2c3`);
  mkdirSync(left);
  await examine();
  assert.ok(!existsSync(left));
});

test("the doctor leaves nothing behind", async () => {
  const before = new Set(await traces());
  await examine();
  assert.deepEqual(
    (await traces()).filter((trace) => !before.has(trace)),
    [],
  );
});

test("the doctor removes the groups of one that was killed, and none of one that works", async (t) => {
  const killed = spawn("true");
  await once(killed, "exit");
  const { v1, v2 } = readLayout();
  const points = [...Object.values(v1), ...(v2 === undefined ? [] : [v2])];
  const left = points.map((point) => join(point, groupName(killed.pid ?? 0)));
  const inUse = points.map((point) => join(point, groupName(process.pid)));
  for (const group of [...left, ...inUse]) mkdirSync(join(group, "machine/job"), { recursive: true });
  t.after(() => {
    for (const group of inUse)
      for (const path of [join(group, "machine/job"), join(group, "machine"), group]) rmdirSync(path);
  });
  await examine();
  assert.deepEqual(left.filter(existsSync), []);
  assert.deepEqual(inUse.filter(existsSync), inUse);
});

test("a doctor who is called away stops", async () => {
  const { version, execPath, arch, pid } = process;
  const deps = { subprocess, directory: tmpdir(), nodeVersion: version, nodePath: execPath, arch, pid };
  await assert.rejects(
    runDoctor({ ...deps, uid: 0 }, AbortSignal.abort(new Error("called away"))),
    /called away/,
  );
});

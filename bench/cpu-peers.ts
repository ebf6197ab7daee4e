import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { BenchOptions } from "./harness.ts";

export type Peer = { readonly name: string; readonly values: readonly number[] };

const changes = 12;
const subprocess = systemSubprocess();
const never = new AbortController().signal;
const timeoutMs = millis(60_000);

/** What others take to change one CPU limit of something that runs, in ms; of those that run here. */
export async function measurePeers({ signal, progress }: BenchOptions): Promise<Peer[]> {
  const found: Peer[] = [];
  for (const [name, measure] of [
    ["runc update", runc],
    ["podman update", podman],
    ["systemctl set-property", systemd],
  ] as const) {
    signal.throwIfAborted();
    try {
      found.push({ name, values: await measure(signal) });
    } catch (cause) {
      signal.throwIfAborted();
      progress(`${name} does not run here: ${String(cause).split("\n")[0] ?? ""}`);
    }
  }
  return found;
}

async function timedChanges(
  file: string,
  args: (quotaUs: number) => readonly string[],
  signal: AbortSignal,
): Promise<number[]> {
  const values: number[] = [];
  for (let change = 0; change < changes; change += 1) {
    const from = performance.now();
    await subprocess.check(file, args(change % 2 === 0 ? 20_000 : 40_000), signal, { timeoutMs });
    values.push(performance.now() - from);
  }
  return values;
}

/** A container of the host's own root, read-only. */
async function runc(signal: AbortSignal): Promise<number[]> {
  await using undo = new AsyncDisposableStack();
  const bundle = mkdtempSync(join(tmpdir(), "consort-bench-runc-"));
  undo.defer(() => rmSync(bundle, { recursive: true, force: true }));
  const name = `consort-bench-${process.pid}`;
  mkdirSync(join(bundle, "rootfs"));
  writeFileSync(join(bundle, "config.json"), JSON.stringify(bundleOf(name)));
  undo.defer(async () => {
    await subprocess.run("runc", ["delete", "--force", name], never, { timeoutMs });
  });
  await subprocess.check("runc", ["create", "--bundle", bundle, name], signal, { timeoutMs });
  return timedChanges(
    "runc",
    (quota) => ["update", "--cpu-period", "100000", "--cpu-quota", String(quota), name],
    signal,
  );
}

/** Created, not started: its first process waits in its groups, which is all a limit needs. */
function bundleOf(name: string): object {
  return {
    ociVersion: "1.0.2",
    process: { cwd: "/", args: ["/true"], user: { uid: 0, gid: 0 }, env: ["PATH=/bin"] },
    root: { path: "rootfs" },
    linux: {
      cgroupsPath: `/${name}`,
      namespaces: [{ type: "pid" }, { type: "mount" }],
      resources: { cpu: { period: 100_000, quota: 40_000 } },
    },
  };
}

async function podman(signal: AbortSignal): Promise<number[]> {
  await using undo = new AsyncDisposableStack();
  const name = `consort-bench-${process.pid}`;
  undo.defer(async () => {
    await subprocess.run("podman", ["rm", "--force", "--time", "0", name], never, { timeoutMs });
  });
  const start = ["run", "--detach", "--name", name, "--runtime", "runc", "--ulimit", "nofile=1024:1024"];
  const plain = ["--network", "none", "--cgroup-manager", "cgroupfs"];
  const [run = "run", ...rest] = start;
  await subprocess.check(
    "podman",
    ["--cgroup-manager", "cgroupfs", run, ...rest, ...plain.slice(0, 2), "--rootfs", "/:O", "sleep", "600"],
    signal,
    { timeoutMs },
  );
  return timedChanges(
    "podman",
    (quota) => [
      "--cgroup-manager",
      "cgroupfs",
      "update",
      "--cpu-period",
      "100000",
      "--cpu-quota",
      String(quota),
      name,
    ],
    signal,
  );
}

async function systemd(signal: AbortSignal): Promise<number[]> {
  await using undo = new AsyncDisposableStack();
  const unit = `consort-bench-${process.pid}.service`;
  undo.defer(async () => {
    await subprocess.run("systemctl", ["stop", unit], never, { timeoutMs });
  });
  await subprocess.check("systemd-run", ["--unit", unit, "sleep", "600"], signal, { timeoutMs });
  return timedChanges(
    "systemctl",
    (quota) => ["set-property", "--runtime", unit, `CPUQuota=${quota / 1000}%`],
    signal,
  );
}

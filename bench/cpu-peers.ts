import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { BenchOptions } from "./harness.ts";
import { openLimitedDomain } from "./libvirt-quota.ts";

/** `absent`: why it does not run here; it has no values then. */
export type Peer = { readonly name: string; readonly values: readonly number[]; readonly absent?: string };

const changes = 12;
const reasonLengthMax = 120;
const subprocess = systemSubprocess();
const never = new AbortController().signal;
const timeoutMs = millis(60_000);

/** What others take to change one CPU limit of something that runs, in ms, or why they do not run here. */
export async function measurePeers({ signal, progress }: BenchOptions): Promise<Peer[]> {
  const found: Peer[] = [];
  for (const [name, measure] of [
    ["runc update", runc],
    ["podman update", podman],
    ["systemctl set-property", systemd],
    ["virsh schedinfo", virsh],
  ] as const) {
    signal.throwIfAborted();
    try {
      found.push({ name, values: await measure(signal) });
    } catch (cause) {
      signal.throwIfAborted();
      const absent = messageOf(cause).trim().replaceAll(/\s+/g, " ").slice(0, reasonLengthMax);
      progress(`${name} does not run here: ${absent}`);
      found.push({ name, values: [], absent });
    }
  }
  return found;
}

async function timed(change: (quotaUs: number) => Promise<void>): Promise<number[]> {
  const values: number[] = [];
  for (let at = 0; at < changes; at += 1) {
    const from = performance.now();
    await change(at % 2 === 0 ? 20_000 : 40_000);
    values.push(performance.now() - from);
  }
  return values;
}

const timedChanges = (
  file: string,
  args: (quotaUs: number) => readonly string[],
  signal: AbortSignal,
): Promise<number[]> =>
  timed(async (quotaUs) => {
    await subprocess.check(file, args(quotaUs), signal, { timeoutMs });
  });

/** A root that has nothing of its own: the host's programs are mounted into it. */
function rootIn(directory: string): string {
  const root = join(directory, "rootfs");
  for (const folder of ["usr", "etc", "tmp", "proc", "sys", "dev", "run", "var"])
    mkdirSync(join(root, folder), { recursive: true });
  for (const link of ["bin", "sbin", "lib", "lib64"]) {
    if (existsSync(`/${link}`)) symlinkSync(readlinkSync(`/${link}`), join(root, link));
  }
  return root;
}

async function runc(signal: AbortSignal): Promise<number[]> {
  await using undo = new AsyncDisposableStack();
  const bundle = mkdtempSync(join(tmpdir(), "consort-bench-runc-"));
  undo.defer(() => rmSync(bundle, { recursive: true, force: true }));
  const name = `consort-bench-${process.pid}`;
  rootIn(bundle);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(bundleOf(name)));
  undo.defer(async () => {
    await subprocess.run("runc", ["delete", "--force", name], never, { timeoutMs });
  });
  const args = ["run", "--detach", "--bundle", bundle, name];
  await withoutOutput("runc", args, signal);
  return await timedChanges(
    "runc",
    (quota) => ["update", "--cpu-period", "100000", "--cpu-quota", String(quota), name],
    signal,
  );
}

/** A container keeps the streams it was started with: a pipe of ours would not end before it does. */
async function withoutOutput(file: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const quoted = [file, ...args].map((each) => `'${each.replaceAll("'", "'\\''")}'`).join(" ");
  await subprocess.check("sh", ["-c", `${quoted} </dev/null >/dev/null 2>&1`], signal, { timeoutMs });
}

function bundleOf(name: string): object {
  return {
    ociVersion: "1.0.2",
    process: { cwd: "/", args: ["sleep", "600"], user: { uid: 0, gid: 0 }, env: ["PATH=/bin:/usr/bin"] },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] },
    ],
    linux: {
      cgroupsPath: `/${name}`,
      namespaces: [{ type: "pid" }, { type: "mount" }],
      resources: { cpu: { period: 100_000, quota: 40_000 } },
    },
  };
}

async function podman(signal: AbortSignal): Promise<number[]> {
  await using undo = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), "consort-bench-podman-"));
  undo.defer(() => rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const name = `consort-bench-${process.pid}`;
  // Apart from whatever else podman has on this machine.
  const own = ["root", "runroot", "tmpdir"].flatMap((each) => [`--${each}`, join(home, each)]);
  const base = [...own, "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"];
  undo.defer(async () => {
    await subprocess.run("podman", [...base, "rm", "--force", "--time", "0", name], never, { timeoutMs });
  });
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
  const place = ["--detach", "--name", name, "--network", "none", "--volume", "/usr:/usr:ro", ...limits];
  const start = [...base, "run", ...place, "--rootfs", rootIn(home), "sleep", "600"];
  await withoutOutput("podman", start, signal);
  const change = [...base, "update", "--cpu-period", "100000", "--cpu-quota"];
  return await timedChanges("podman", (quota) => [...change, String(quota), name], signal);
}

/** A command in the namespaces that its daemon has here, which takes it a millisecond or two. */
async function virsh(signal: AbortSignal): Promise<number[]> {
  await using limited = await openLimitedDomain(signal);
  return await timed((quotaUs) => limited.setQuota(quotaUs, signal));
}

async function systemd(signal: AbortSignal): Promise<number[]> {
  if (!existsSync("/run/systemd/system")) throw new Error("systemd is not what runs this machine");
  await using undo = new AsyncDisposableStack();
  const unit = `consort-bench-${process.pid}.service`;
  undo.defer(async () => {
    await subprocess.run("systemctl", ["stop", unit], never, { timeoutMs });
  });
  await subprocess.check("systemd-run", ["--unit", unit, "sleep", "600"], signal, { timeoutMs });
  return await timedChanges(
    "systemctl",
    (quota) => ["set-property", "--runtime", unit, `CPUQuota=${quota / 1000}%`],
    signal,
  );
}

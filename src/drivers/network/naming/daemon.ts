import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** Joins the groups, then becomes the program: nothing of it ever runs outside of them. */
const joinThenRun =
  'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done; exec "$@"';

/** What dnsmasq needs to answer DHCP before its client has an address, and at ports below 1024. */
const segmentCapabilities = "+net_admin,+net_raw,+net_bind_service";
const hostCapabilities = "+net_bind_service";
const namespaceFdInChild = 3;

export type DaemonStart = {
  readonly configFile: string;
  /** Where it complains when it does not start; it says nothing later. */
  readonly logFile: string;
  readonly uid: number;
  readonly group: Pick<Cgroup, "procsFiles" | "attach">;
  /** Absent: it listens in the caller's own network namespace. */
  readonly namespaceFd?: number;
  /** Called once it has ended, as long as this process lives. */
  readonly onEnd: () => void;
};

/** Starts dnsmasq as a user of its own, which nothing else is. It outlives this process. Rejects with `driver_failed`. */
export async function startDnsmasq(start: DaemonStart): Promise<void> {
  const { configFile, logFile, uid, group, namespaceFd, onEnd } = start;
  const groupFiles = group.procsFiles();
  const capabilities = namespaceFd === undefined ? hostCapabilities : segmentCapabilities;
  const command = [
    ...(namespaceFd === undefined ? [] : ["nsenter", `--net=/proc/self/fd/${namespaceFdInChild}`]),
    "setpriv",
    `--reuid=${uid}`,
    `--regid=${uid}`,
    "--clear-groups",
    "--no-new-privs",
    ...["inh-caps", "ambient-caps", "bounding-set"].map((set) => `--${set}=-all,${capabilities}`),
    "dnsmasq",
    `--conf-file=${configFile}`,
  ];
  const log = openSync(logFile, "w", 0o600);
  try {
    const child = spawn(
      "/bin/sh",
      ["-c", joinThenRun, "sh", String(groupFiles.length), ...groupFiles, ...command],
      {
        cwd: "/",
        detached: true,
        stdio: ["ignore", log, log, ...(namespaceFd === undefined ? [] : [namespaceFd])],
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      },
    );
    child.once("exit", onEnd);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    join(group, child.pid);
  } catch (cause) {
    throw new ConsortError("driver_failed", `Cannot start dnsmasq: ${String(cause)}`, { cause });
  } finally {
    closeSync(log);
  }
}

/** It joins by itself, before it starts anything; here, so that it has joined when the caller is told that it runs. */
function join(group: Pick<Cgroup, "attach">, pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    group.attach(pid);
  } catch {
    // It has ended, which is noticed elsewhere.
  }
}

/** What it said before it ended, as one line. */
export function lastComplaint(logFile: string): string {
  try {
    return readFileSync(logFile, "utf8").trim().split("\n").at(-1) ?? "";
  } catch {
    return "";
  }
}

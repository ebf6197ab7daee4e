import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import { filesInside } from "./files.ts";

/**
 * Joins the groups, then becomes the program, if it is still its turn: nothing of it ever runs outside of them, and one
 * whose manager was killed before it had joined does not come beside another.
 */
const joinThenRun =
  'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done; ' +
  'read -r turn < "$1" && [ "$turn" = "$2" ] || exit 125; shift 2; exec "$@"';

/** In a mount namespace of its own, where it sees its files at a place that anyone may reach, and cannot change them. */
const mountThenRun =
  'mount --bind "$1" "$2" && mount -o remount,bind,ro,nosuid,nodev,noexec "$2" || exit 125; shift 2; exec "$@"';

/** What dnsmasq needs to answer DHCP before its client has an address, and at ports below 1024. */
const segmentCapabilities = "+net_admin,+net_raw,+net_bind_service";
const hostCapabilities = "+net_bind_service";
const namespaceFdInChild = 3;

export type DaemonStart = {
  /** Of its files, "config" among them. Its complaints go there when it does not start; it says nothing later. */
  readonly directory: string;
  /** What its file "turn" must say when it has joined its group. */
  readonly turn: string;
  readonly uid: number;
  readonly group: Pick<Cgroup, "procsFiles" | "attach">;
  /** Absent: it listens in the caller's own network namespace. */
  readonly namespaceFd?: number;
  /** Called once it has ended, as long as this process lives. */
  readonly onEnd: () => void;
};

/** Starts dnsmasq as a user of its own, which nothing else is. It outlives this process. Rejects with `driver_failed`. */
export async function startDnsmasq(start: DaemonStart): Promise<void> {
  const { directory, turn, uid, group, namespaceFd, onEnd } = start;
  const groupFiles = group.procsFiles();
  const capabilities = namespaceFd === undefined ? hostCapabilities : segmentCapabilities;
  const command = [
    ...(namespaceFd === undefined ? [] : ["nsenter", `--net=/proc/self/fd/${namespaceFdInChild}`]),
    "unshare",
    "--mount",
    "sh",
    "-c",
    mountThenRun,
    "sh",
    directory,
    filesInside,
    "setpriv",
    `--reuid=${uid}`,
    `--regid=${uid}`,
    "--clear-groups",
    "--no-new-privs",
    ...["inh-caps", "ambient-caps", "bounding-set"].map((set) => `--${set}=-all,${capabilities}`),
    "dnsmasq",
    `--conf-file=${filesInside}/config`,
  ];
  const log = openSync(join(directory, "log"), "w", 0o600);
  try {
    const child = spawn(
      "/bin/sh",
      [
        "-c",
        joinThenRun,
        "sh",
        String(groupFiles.length),
        ...groupFiles,
        join(directory, "turn"),
        turn,
        ...command,
      ],
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
    attach(group, child.pid);
  } catch (cause) {
    throw new ConsortError("driver_failed", `Cannot start dnsmasq: ${String(cause)}`, { cause });
  } finally {
    closeSync(log);
  }
}

/** It joins by itself, before it starts anything; here, so that it has joined when the caller is told that it runs. */
function attach(group: Pick<Cgroup, "attach">, pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    group.attach(pid);
  } catch {
    // It has ended, which is noticed elsewhere.
  }
}

/** What it said before it ended, as one line. */
export function lastComplaint(directory: string): string {
  try {
    return readFileSync(join(directory, "log"), "utf8").trim().split("\n").at(-1) ?? "";
  } catch {
    return "";
  }
}

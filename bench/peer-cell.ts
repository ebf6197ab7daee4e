import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import { clock } from "../test/task/host.ts";
import { subprocess } from "../test/vm/guest-machine.ts";

/**
 * Where somebody else's program works beside whatever the machine has of it: mount, process and network namespaces with
 * a bridge, whose processes all end when it is disposed, and a directory, which is removed then.
 */
export type PeerCell = AsyncDisposable & {
  readonly directory: string;
  /** Its network namespace, where guests on its bridge are reached. */
  readonly netns: string;
  run(file: string, words: readonly string[], signal: AbortSignal): Promise<string>;
};

export const cellBridge = "br0";
const bridgeAddress = "10.9.0.254/24";
const timeoutMs = millis(240_000);
const startMsMax = 30_000;
const pollMs = millis(5);

/** What runs first: the first process of a namespace has to see to those that end without a parent, as a shell does. */
const begin = `set -e
directory=$1
mount --make-rprivate /
mkdir $directory/groups; mount --rbind /sys/fs/cgroup $directory/groups
mount -t sysfs sysfs /sys; mount --rbind $directory/groups /sys/fs/cgroup
ip link set lo up
ip link add ${cellBridge} type bridge; ip addr add ${bridgeAddress} dev ${cellBridge}; ip link set ${cellBridge} up
`;
const end = `
touch $directory/ready
while :; do sleep 3600 & wait $!; done`;

/** `setUp`: lines of shell that end, or go on in the background; "$directory" is its own. */
export async function openPeerCell(setUp: string, signal: AbortSignal): Promise<PeerCell> {
  await using undo = new AsyncDisposableStack();
  // Sockets lie there, whose paths are to be short.
  const directory = mkdtempSync("/tmp/consort-peer-");
  undo.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const apart = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const shell = ["sh", "-c", `${begin}${setUp}${end}`, "sh", directory];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...apart, ...shell], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  undo.defer(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const giveUp = performance.now() + startMsMax;
  while (!existsSync(join(directory, "ready"))) {
    if (child.exitCode !== null || performance.now() > giveUp)
      throw new Error(`its namespaces cannot be made: ${said.trim()}`);
    await clock.sleep(pollMs, signal);
  }
  const unshare = child.pid ?? 0;
  // `unshare` waits for the only process it started.
  const first = readFileSync(`/proc/${unshare}/task/${unshare}/children`, "utf8").trim();
  const owned = undo.move();
  return {
    directory,
    netns: `/proc/${first}/ns/net`,
    run: (file, words, stop) =>
      subprocess.check(
        "nsenter",
        [`--target=${first}`, "--mount", "--pid", "--net", "--", file, ...words],
        stop,
        { timeoutMs },
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** @throws telling how to get it, where it is not installed. */
export async function wantPrograms(names: readonly string[], signal: AbortSignal): Promise<void> {
  for (const name of names) {
    await subprocess.check("sh", ["-c", 'command -v "$1"', "sh", name], signal).catch(() => {
      throw new Error(`${name} is not installed: sh scripts/setup.sh --for-benchmarks`);
    });
  }
}

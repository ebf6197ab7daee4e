import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { ConsortError } from "#base/errors.ts";
import type { ProcessIdentity, Processes } from "#drivers/process/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

const program = fileURLToPath(new URL("relay.pl", import.meta.url));
const answerBytesMax = 1024;
const startMsMax = 30_000;

/** What one relay joins; see relay.pl. */
export type RelayEnds = {
  /** The machine's, where its sockets are. */
  readonly directory: string;
  readonly cgroup: Pick<Cgroup, "procsFiles">;
  /** "unix:NAME" or "tcp:ADDRESS:PORT". */
  readonly listen: string;
  readonly connect: string;
  /** Who alone may connect. */
  readonly peer?: string;
  /** It ends with the first connection, and that one when who connected has ended: as long as it is there, so may be they. */
  readonly once?: true;
  /** Known to both sides of the move, and to nobody else. */
  readonly token: string;
};

/** One that runs by itself; durable, so that a later manager finds it again. */
export type Relay = ProcessIdentity & { readonly port: number };

/**
 * Starts one. It outlives this process and ends with the machine's control group, or when it is stopped.
 * Rejects with `driver_failed` and its own words.
 */
export async function startRelay(ends: RelayEnds, processes: Processes, caller: AbortSignal): Promise<Relay> {
  const signal = AbortSignal.any([caller, AbortSignal.timeout(startMsMax)]);
  const { directory, listen, connect, peer, once: isForOne } = ends;
  const forWhom = peer === undefined ? [] : [peer, ...(isForOne === undefined ? [] : ["once"])];
  const args = [program, directory, listen, connect, ...forWhom];
  const child = spawn("perl", args, { detached: true, stdio: ["pipe", "pipe", "pipe"], cwd: "/" });
  const abort = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", abort, { once: true });
  try {
    let words = "";
    child.stderr.on("data", (chunk: Buffer) => (words = (words + String(chunk)).slice(0, answerBytesMax)));
    child.stdin.on("error", () => {});
    child.stdin.end(`${ends.cgroup.procsFiles().join(",")}\n${ends.token}\n`);
    const [line] = await Promise.race([
      once(child.stdout, "data"),
      once(child, "close").then(() => [undefined]),
      once(child, "error").then(([cause]) => Promise.reject(cause as Error)),
    ]);
    signal.throwIfAborted();
    const identity = child.pid === undefined ? undefined : processes.identify(child.pid);
    if (line === undefined || identity === undefined) {
      throw new ConsortError("driver_failed", `Cannot relay ${listen} to ${connect}: ${words.trim()}`);
    }
    return { ...identity, port: Number(String(line)) };
  } finally {
    signal.removeEventListener("abort", abort);
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { newPlace } from "./abandoned-places.ts";
import { findingOf } from "./report.ts";
import type { Finding } from "./report.ts";

const probeMsMax = millis(1500);

/** A few nft statements as the isolation of segments uses them. */
const bridgeRules = `table bridge consort-doctor {
  map classes { type ether_addr . ether_addr : classid; elements = { 02:00:00:00:00:01 . 02:00:00:00:00:02 : 1:10 } }
  set pairs { type ether_addr . ether_addr; elements = { 02:00:00:00:00:01 . 02:00:00:00:00:02 } }
  chain passing {
    type filter hook forward priority 0; policy drop;
    meta priority set ether saddr . ether daddr map @classes
    ether saddr . ether daddr @pairs accept
  }
}
`;

/**
 * What the kernel can do, found out by doing it in namespaces of the probe's own, which go when its process ends:
 * nothing has to be taken back.
 */
export class KernelProbes {
  readonly #subprocess: Subprocess;
  readonly #signal: AbortSignal;

  constructor(subprocess: Subprocess, signal: AbortSignal) {
    this.#subprocess = subprocess;
    this.#signal = signal;
  }

  namespace(kind: "net" | "pid" | "mount" | "uts" | "user"): Promise<Finding> {
    return this.#attempt("unshare", [`--${kind}`, ...(kind === "pid" ? ["--fork"] : []), "true"], "works");
  }

  link(...args: readonly string[]): Promise<Finding> {
    return this.#alone("ip", ["link", "add", ...args]);
  }

  tun(): Promise<Finding> {
    return this.#alone(
      "ip",
      ["-batch", "-"],
      "tuntap add mode tun name probe0\ntuntap add mode tap name probe1\n",
    );
  }

  shaping(): Promise<Finding> {
    const lines = [
      "qdisc add dev lo root handle 1: htb default 10",
      "class add dev lo parent 1: classid 1:10 htb rate 1mbit ceil 10mbit",
    ];
    return this.#alone("tc", ["-batch", "-"], `${lines.join("\n")}\n`);
  }

  bridgeRules(): Promise<Finding> {
    return this.#alone("nft", ["-f", "-"], bridgeRules);
  }

  fifo(): Promise<Finding> {
    return this.#attempt("chrt", ["-f", "50", "true"], "SCHED_FIFO works");
  }

  deadline(): Promise<Finding> {
    const times = [
      "--sched-runtime",
      "1000000",
      "--sched-deadline",
      "40000000",
      "--sched-period",
      "40000000",
    ];
    return this.#attempt("chrt", ["--deadline", ...times, "0", "true"], "SCHED_DEADLINE works");
  }

  /** With the layers where the state will be, as what lies below decides. */
  async overlay(directory: string): Promise<Finding> {
    let place: string;
    try {
      place = newPlace(directory);
    } catch {
      return { status: "missing", found: `not tried: ${directory} may not be written` };
    }
    try {
      const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) =>
        join(place, name),
      );
      for (const each of [lower, upper, work, merged]) if (each !== undefined) mkdirSync(each);
      const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
      const mount = ["mount", "-t", "overlay", "overlay", "-o", layers, String(merged)];
      return await this.#attempt("unshare", ["--mount", ...mount], `works on ${directory}`);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }

  /** In a network namespace of its own. */
  #alone(file: string, args: readonly string[], input?: string): Promise<Finding> {
    return this.#attempt("unshare", ["--net", file, ...args], "works", input);
  }

  async #attempt(file: string, args: readonly string[], works: string, input?: string): Promise<Finding> {
    try {
      const options = { timeoutMs: probeMsMax, ...(input === undefined ? {} : { input }) };
      const { code, stderr } = await this.#subprocess.run(file, args, this.#signal, options);
      if (code === 0) return { status: "ok", found: works };
      const [words = ""] = stderr.trim().split("\n");
      return { status: "missing", found: words === "" ? `exit code ${code}` : words };
    } catch (cause) {
      this.#signal.throwIfAborted();
      return findingOf(cause);
    }
  }
}

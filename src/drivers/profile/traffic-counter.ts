import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Nftables } from "#drivers/network/kernel/nftables.ts";
import { cgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { Subprocess } from "#drivers/system/port.ts";

/** What all sockets of one control group have sent and received, as Ethernet frames. */
export type Traffic = { readonly outBytes: number; readonly inBytes: number };

/** nft looks for control groups below this, wherever their tree is mounted. */
const groupsRoot = "/sys/fs/cgroup";
/** Behind the rules that decide, so that what they drop is not counted. */
const priority = 500;
const frameHeaderBytes = 14;

/**
 * Counts by the control group that made the socket, in the machine's own network: the program runs where it always
 * does. The rules belong to the process that made them: the kernel removes them when that ends, by whatever means.
 */
export class TrafficCounter {
  readonly #table: string;
  readonly #nftables: Nftables;
  readonly #subprocess: Subprocess;

  private constructor(table: string, nftables: Nftables, subprocess: Subprocess) {
    this.#table = table;
    this.#nftables = nftables;
    this.#subprocess = subprocess;
  }

  /** `group` exists. Undefined where this machine cannot count so. */
  static async open(parts: {
    readonly group: string;
    readonly table: string;
    readonly nftables: Nftables;
    readonly subprocess: Subprocess;
  }): Promise<TrafficCounter | undefined> {
    const { v2 } = cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"), () => "");
    if (v2 === undefined) return undefined;
    const path = relative(groupsRoot, join(v2, parts.group));
    if (path.startsWith("..")) return undefined;
    const match = `socket cgroupv2 level ${parts.group.split("/").length} "${path}" counter name`;
    const commands = [
      `add table inet ${parts.table} { flags owner; }`,
      ...["sent", "received"].map((name) => `add counter inet ${parts.table} ${name}`),
      `add chain inet ${parts.table} outgoing { type filter hook output priority ${priority}; }`,
      `add chain inet ${parts.table} incoming { type filter hook input priority ${priority}; }`,
      `add rule inet ${parts.table} outgoing ${match} sent`,
      `add rule inet ${parts.table} incoming ${match} received`,
    ];
    try {
      await parts.nftables.transact(`${commands.join("\n")}\n`);
    } catch {
      return undefined;
    }
    return new TrafficCounter(parts.table, parts.nftables, parts.subprocess);
  }

  async read(signal: AbortSignal): Promise<Traffic> {
    const told = await this.#subprocess.check(
      "nft",
      ["-j", "list", "counters", "table", "inet", this.#table],
      signal,
    );
    return { outBytes: framesIn(told, "sent"), inBytes: framesIn(told, "received") };
  }

  async close(): Promise<void> {
    await this.#nftables.transact(`delete table inet ${this.#table}\n`);
  }
}

type Told = {
  readonly nftables: readonly {
    readonly counter?: { readonly name: string; readonly packets: number; readonly bytes: number };
  }[];
};

/** The kernel counts from the IP header on. */
function framesIn(json: string, name: string): number {
  const { nftables } = JSON.parse(json) as Told;
  const counter = nftables.find((one) => one.counter?.name === name)?.counter;
  return counter === undefined ? 0 : counter.bytes + counter.packets * frameHeaderBytes;
}

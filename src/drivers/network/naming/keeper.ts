import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";
import type { SegmentPlan } from "#protocol/host-plan.ts";
import type { KernelLink } from "../kernel/links.ts";
import { hostFiles, isNamed, segmentFiles } from "./files.ts";
import type { NamedSegment } from "./files.ts";
import type { NamingLinks } from "./links.ts";
import { NamingServer } from "./server.ts";

/**
 * Names of ensembles: one dnsmasq for each segment, in a network namespace whose only way out is the segment's bridge,
 * and one for the host's own programs.
 *
 *   host's namespace           naming namespace (one per segment)
 *   bridge ── cstn<vni> ──────── naming: the segment's .1, dnsmasq: DHCP, DNS
 *     │ │
 *     │ └ ports of appliances    the packet filter lets these ask, and lets only it answer
 *     └── tunnel end             nothing from or to a naming port passes
 *
 * The record of what runs is the control group of each (`naming-<vni>`): what is in it was started by us, whoever of us
 * that was. Files are written before it starts, and a configuration only after whoever reads the old one has ended; so
 * a manager killed at any line finds either what it wanted, or what it replaces. A namespace ends with its dnsmasq, and
 * its link with the namespace: whatever dies leaves nothing, and is made again.
 */
export type NamingOptions = {
  /** For files, one directory for each; emptied by us. */
  readonly directory: string;
  /** User and group of dnsmasq, and of nobody else. */
  readonly uid: number;
  readonly cgroups: Cgroups;
  readonly cgroupParent: string;
  /** On the loopback, for the host's own programs; absent: they are not served. */
  readonly listenAddress?: string;
  readonly clock: Clock;
};

const groupPrefix = "naming-";
const hostKey = "host";
const watchMs = millis(1000);

/** What is there of links, as far as it was looked at. */
export type LinksSeen = {
  /** Index of a segment's bridge. */
  readonly bridgeOf: (vni: number) => number | undefined;
  /** All with our mark, looked at just now; absent: to be looked up. */
  readonly found?: ReadonlyMap<string, KernelLink>;
};

export class NamingKeeper {
  readonly #options: NamingOptions;
  readonly #links: NamingLinks;
  readonly #log: Log;
  readonly #onBroken: () => void;
  /** By the VNI of its segment in hexadecimal, or "host"; also what is left of earlier ones. */
  readonly #servers = new Map<string, NamingServer>();
  #wanted: ReadonlySet<string> = new Set();
  #callOff: (() => void) | undefined;

  /** `onBroken` is called when one has ended by itself, again and again until `converge` has made it anew. */
  constructor(options: NamingOptions, links: NamingLinks, log: Log, onBroken: () => void) {
    this.#options = options;
    this.#links = links;
    this.#log = log;
    this.#onBroken = onBroken;
    for (const name of options.cgroups.open(options.cgroupParent).children())
      if (name.startsWith(groupPrefix)) this.#serverFor(name.slice(groupPrefix.length));
  }

  close(): void {
    this.#callOff?.();
    this.#links.close();
  }

  /** Something is there, or left, that these segments do not want. */
  hasMoreThan(segments: readonly SegmentPlan[]): boolean {
    const named = new Set(segments.filter(isNamed).map(({ vni }) => vni.toString(16)));
    return [...this.#servers.keys()].some((key) => !named.has(key) && (key !== hostKey || named.size === 0));
  }

  /** What cannot be served keeps the others from nothing. */
  async converge(segments: readonly SegmentPlan[], seen: LinksSeen): Promise<readonly ConsortError[]> {
    const named = new Map(segments.filter(isNamed).map((segment) => [segment.vni.toString(16), segment]));
    const { listenAddress } = this.#options;
    const isHostServed = named.size > 0 && listenAddress !== undefined;
    this.#wanted = new Set([...named.keys(), ...(isHostServed ? [hostKey] : [])]);
    const problems: ConsortError[] = [];
    const attempt = async (whose: string, work: () => Promise<void>): Promise<void> => {
      await work().catch((cause: unknown) => {
        this.#log.warn("names cannot be served", { whose, cause });
        const message = messageOf(cause).replace(/^Cannot serve names/, "");
        problems.push(
          new ConsortError(
            "driver_failed",
            `Cannot serve names of ${whose}${message.startsWith(":") ? "" : ": "}${message}`,
            {
              cause,
            },
          ),
        );
      });
    };
    for (const key of this.#servers.keys())
      if (!this.#wanted.has(key)) await attempt(key, () => this.#remove(key));
    for (const [key, segment] of named) await attempt(segment.network, () => this.#serve(key, segment, seen));
    if (isHostServed) await attempt("this host", () => this.#serveHost([...named.values()], listenAddress));
    this.#watch();
    return problems;
  }

  async #serve(key: string, segment: NamedSegment, seen: LinksSeen): Promise<void> {
    const bridgeIndex = seen.bridgeOf(segment.vni);
    if (bridgeIndex === undefined) throw new ConsortError("driver_failed", "its bridge is missing");
    const server = this.#serverFor(key);
    const files = segmentFiles(segment);
    if (server.hasRead(files) && this.#links.isComplete(segment, bridgeIndex, seen.found))
      return server.tell(files);
    await server.start(files, async () => {
      await this.#links.remove(segment.vni);
      return this.#links.make(segment, bridgeIndex);
    });
  }

  async #serveHost(segments: readonly NamedSegment[], listenAddress: string): Promise<void> {
    const server = this.#serverFor(hostKey);
    const files = hostFiles(segments, listenAddress);
    if (server.hasRead(files)) server.tell(files);
    else await server.start(files);
  }

  async #remove(key: string): Promise<void> {
    const server = this.#serverFor(key);
    await server.end();
    if (key !== hostKey) await this.#links.remove(Number.parseInt(key, 16));
    await server.remove();
    this.#servers.delete(key);
  }

  #serverFor(key: string): NamingServer {
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const { directory, cgroups, cgroupParent, uid, clock } = this.#options;
    const server = new NamingServer({
      directory: join(directory, key),
      group: cgroups.open(`${cgroupParent}/${groupPrefix}${key}`),
      uid,
      clock,
      log: this.#log,
      onBroken: this.#onBroken,
    });
    this.#servers.set(key, server);
    return server;
  }

  #watch(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    if (this.#wanted.size === 0) return;
    this.#callOff = this.#options.clock.timer(watchMs, () => {
      if (![...this.#wanted].every((key) => this.#serverFor(key).runs())) this.#onBroken();
      this.#watch();
    });
  }
}

import { chmodSync, chownSync, closeSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { mebibytes, micros, millis } from "#base/units.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import { lastComplaint, startDnsmasq } from "./daemon.ts";
import { hostFiles, isNamed, segmentFiles } from "./files.ts";
import type { NamedSegment, NamingFiles } from "./files.ts";
import type { NamingLinks } from "./links.ts";
import type { SegmentPlan } from "#protocol/host-plan.ts";

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
/** More than a flood of questions is worth: the rest of it is lost. */
const cpuQuota = { periodUs: micros(100_000), quotaUs: micros(10_000) };
const memoryBytesMax = mebibytes(32);
const pidsMax = 8;
const watchMs = millis(1000);
/** One that ran for so long had nothing against being started. */
const steadyMs = millis(5000);
const endsBeforeProblem = 3;
const killWaitMsMax = millis(2000);
const pollMs = millis(1);

/** One dnsmasq: of a segment, by its VNI in hexadecimal, or of the host. */
type Served = { readonly key: string; readonly segment?: NamedSegment };

export class NamingKeeper {
  readonly #options: NamingOptions;
  readonly #links: NamingLinks;
  readonly #log: Log;
  readonly #onBroken: () => void;
  #wanted: readonly Served[] = [];
  #hostNames: readonly NamedSegment[] = [];
  /** Groups there may be something in. */
  #keys: Set<string>;
  /** Told by this process of all there was to tell. */
  readonly #told = new Set<string>();
  readonly #ends = new Map<string, { count: number; said: string }>();
  /** Aborted when one is ended on purpose. */
  readonly #endings = new Map<string, AbortController>();
  #callOff: (() => void) | undefined;

  /** `onBroken` is called when one has ended by itself, again and again until `converge` has made it anew. */
  constructor(options: NamingOptions, links: NamingLinks, log: Log, onBroken: () => void) {
    this.#options = options;
    this.#links = links;
    this.#log = log;
    this.#onBroken = onBroken;
    const children = options.cgroups.open(options.cgroupParent).children();
    this.#keys = new Set(
      children.filter((name) => name.startsWith(groupPrefix)).map((name) => name.slice(groupPrefix.length)),
    );
  }

  close(): void {
    this.#callOff?.();
    this.#links.close();
  }

  /** `bridgeOf`: index of a segment's bridge. What cannot be served keeps the others from nothing. */
  async converge(
    segments: readonly SegmentPlan[],
    bridgeOf: (vni: number) => number | undefined,
  ): Promise<readonly ConsortError[]> {
    const named = segments.filter(isNamed);
    this.#hostNames = named;
    const isHostServed = named.length > 0 && this.#options.listenAddress !== undefined;
    this.#wanted = [
      ...named.map((segment) => ({ key: segment.vni.toString(16), segment })),
      ...(isHostServed ? [{ key: hostKey }] : []),
    ];
    const keys = new Set(this.#wanted.map(({ key }) => key));
    const problems: ConsortError[] = [];
    const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
      await work().catch((cause: unknown) => {
        if (!(cause instanceof ConsortError)) throw cause;
        this.#log.warn("names cannot be served", { what, cause });
        problems.push(cause);
      });
    };
    for (const key of this.#keys.difference(keys)) await attempt(key, () => this.#remove(key));
    for (const one of this.#wanted)
      await attempt(one.segment?.network ?? "the host", () => this.#serve(one, bridgeOf));
    this.#watch();
    return problems;
  }

  async #serve({ key, segment }: Served, bridgeOf: (vni: number) => number | undefined): Promise<void> {
    const directory = join(this.#options.directory, key);
    const files =
      segment === undefined
        ? hostFiles(this.#hostNames, this.#options.listenAddress ?? "")
        : segmentFiles(segment);
    const bridgeIndex = segment === undefined ? 0 : bridgeOf(segment.vni);
    if (bridgeIndex === undefined) {
      throw new ConsortError("driver_failed", `Cannot serve names on ${segment?.network}: it has no bridge`);
    }
    const group = this.#groupOf(key);
    const present = readFiles(directory);
    const runs = group.exists() && group.pids().length > 0;
    const isLinked = segment === undefined || this.#links.isComplete(segment, bridgeIndex);
    if (runs && isLinked && present.config === files.config) {
      const isNews = this.#write(directory, files, present);
      // Whoever wrote them before may have been killed before it could tell.
      if (isNews || !this.#told.has(key)) tell(group, "SIGHUP");
      this.#told.add(key);
      return;
    }
    await this.#end(key);
    this.#write(directory, files, present);
    await this.#start(key, segment, bridgeIndex);
    this.#told.add(key);
    const { count = 0, said = "" } = this.#ends.get(key) ?? {};
    if (count >= endsBeforeProblem) {
      const where = segment === undefined ? "to the host" : `on ${segment.network}`;
      throw new ConsortError(
        "driver_failed",
        `Cannot serve names ${where}: dnsmasq ends again and again: ${said}`,
      );
    }
  }

  async #start(key: string, segment: NamedSegment | undefined, bridgeIndex: number): Promise<void> {
    const group = this.#groupOf(key);
    this.#keys.add(key);
    group.create();
    group.setCpu(cpuQuota);
    group.setMemory(memoryBytesMax);
    group.setPids(pidsMax);
    if (segment !== undefined) await this.#links.remove(segment.vni);
    const namespaceFd = segment === undefined ? undefined : this.#links.make(segment, bridgeIndex);
    const directory = join(this.#options.directory, key);
    const { clock } = this.#options;
    const began = clock.monotonic();
    const ended = new AbortController();
    this.#endings.get(key)?.abort();
    this.#endings.set(key, ended);
    try {
      await startDnsmasq({
        directory,
        uid: this.#options.uid,
        group,
        ...(namespaceFd === undefined ? {} : { namespaceFd }),
        onEnd: () => {
          if (ended.signal.aborted || this.#runs(key)) return;
          const said = lastComplaint(directory);
          this.#log.warn("dnsmasq has ended, and is started again", { key, said });
          const lived = clock.monotonic() - began;
          const count = lived > steadyMs ? 0 : (this.#ends.get(key)?.count ?? 0);
          this.#ends.set(key, { count: count + 1, said });
          if (lived > steadyMs) this.#onBroken();
        },
      });
    } finally {
      if (namespaceFd !== undefined) closeSync(namespaceFd);
      group.close();
    }
  }

  async #remove(key: string): Promise<void> {
    const group = this.#groupOf(key);
    await this.#end(key);
    if (key !== hostKey) await this.#links.remove(Number.parseInt(key, 16));
    await group.remove(AbortSignal.timeout(killWaitMsMax));
    rmSync(join(this.#options.directory, key), { recursive: true, force: true });
    this.#keys.delete(key);
    this.#told.delete(key);
    this.#ends.delete(key);
  }

  /** At once: it keeps nothing that it would have to put away. */
  async #end(key: string): Promise<void> {
    this.#endings.get(key)?.abort();
    const group = this.#groupOf(key);
    if (!group.exists()) return;
    const { clock } = this.#options;
    const began = clock.monotonic();
    while (group.pids().length > 0) {
      tell(group, "SIGKILL");
      if (clock.monotonic() - began > killWaitMsMax) {
        throw new ConsortError("timeout", `Cannot end dnsmasq in ${group.path}: it does not end`);
      }
      await clock.sleep(pollMs, AbortSignal.timeout(killWaitMsMax));
    }
  }

  #groupOf(key: string): Cgroup {
    return this.#options.cgroups.open(`${this.#options.cgroupParent}/${groupPrefix}${key}`);
  }

  #runs(key: string): boolean {
    const group = this.#groupOf(key);
    return group.exists() && group.pids().length > 0;
  }

  #watch(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    if (this.#wanted.length === 0) return;
    this.#callOff = this.#options.clock.timer(watchMs, () => {
      if (!this.#wanted.every(({ key }) => this.#runs(key))) this.#onBroken();
      this.#watch();
    });
  }

  /** Whether names or cards are others now. The configuration goes first: it tells who may have read it. */
  #write(directory: string, files: NamingFiles, present: Partial<NamingFiles>): boolean {
    const { uid } = this.#options;
    let changed = false;
    for (const name of ["config", "names", "cards"] as const) {
      if (files[name] === present[name]) continue;
      changed = true;
      mkdirSync(directory, { recursive: true });
      for (const path of [this.#options.directory, directory]) {
        chownSync(path, 0, uid);
        chmodSync(path, 0o750);
      }
      const file = join(directory, name);
      writeFileSync(file, files[name], { mode: 0o640 });
      chownSync(file, 0, uid);
    }
    return changed;
  }
}

function readFiles(directory: string): Partial<NamingFiles> {
  const read = (name: string): string | undefined => {
    try {
      return readFileSync(join(directory, name), "utf8");
    } catch {
      return undefined;
    }
  };
  const [config, names, cards] = [read("config"), read("names"), read("cards")];
  return {
    ...(config === undefined ? {} : { config }),
    ...(names === undefined ? {} : { names }),
    ...(cards === undefined ? {} : { cards }),
  };
}

function tell(group: Cgroup, name: "SIGHUP" | "SIGKILL"): void {
  for (const pid of group.pids()) {
    try {
      process.kill(pid, name);
    } catch (cause) {
      if (!/ESRCH/.test(messageOf(cause))) throw cause;
    }
  }
}

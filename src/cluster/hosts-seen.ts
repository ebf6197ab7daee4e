import type { HostId, MacAddress } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond, Millis } from "#base/units.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { ApplianceReport, Heartbeat, HostReport } from "#protocol/host-report.ts";

type Own<Type> = { -readonly [Key in keyof Type]: Type[Key] };

type Seen = {
  /** A copy, which heartbeats bring up to date in place: one made anew each time would outlive many others. */
  report: Own<HostReport>;
  appliances: Own<ApplianceReport>[];
  /** Which heartbeats refer to it by. */
  mark: number;
  atMonotonic: Millis;
  atWall: Millis;
  /** The newest counters, and the rates between them and the ones read before. */
  counters: ReadonlyMap<string, { bytes: number; bps: BitsPerSecond }>;
  /** What the appliances had used when the host told before; NaN: it did not tell. */
  cpuUsedBeforeMs: number[];
  atMonotonicBefore: Millis;
};

/** What each host last told, and rates derived from two tellings. Memory only: hosts tell again after a restart. */
export class HostsSeen {
  readonly #clock: Clock;
  readonly #silenceMs: () => Millis;
  readonly #seen = new Map<HostId, Seen>();
  /** By ensemble, the hosts whose newest report tells of an appliance of it. */
  readonly #holders = new Map<string, Set<HostId>>();
  /** Made when somebody asks. */
  readonly #sums = new WeakMap<Seen["counters"], ReadonlyMap<string, InterfaceTraffic>>();
  /** Hosts known from before this manager, which have had no time to tell yet. */
  #expected: ReadonlySet<HostId> = new Set();
  /** Until then they may live on what the manager before this one granted them. */
  #expectedUntil = 0;
  #listenedAt: Millis | undefined;
  #marks = 0;

  /** `silenceMs`: how long a host may be silent at present. */
  constructor(clock: Clock, silenceMs: () => Millis) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
  }

  /**
   * Takes a report in: what changed for appliances, whether it tells anything but newer measurements, and the number by
   * which heartbeats may refer to it.
   */
  take(report: HostReport): { changes: ApplianceChange[]; news: boolean; mark: number } {
    const seen = this.#seen.get(report.host);
    const before = seen?.report.appliances ?? [];
    const isAligned = sameIds(before, report.appliances);
    const changes = changesSince(before, report.appliances, isAligned);
    if (!isAligned) this.#index(report.host, before, report.appliances);
    const news = seen === undefined || changes.length > 0 || !isAligned || !sameWorld(seen.report, report);
    const usedBeforeMs = new Map(before.map((one) => [one.id, one.cpuUsedMs]));
    const atMonotonic = this.#clock.monotonic();
    const appliances = report.appliances.map((one) => ({ ...one }));
    this.#marks += 1;
    const isReadAnew = seen?.report.pairsReadAt !== report.pairsReadAt;
    this.#seen.set(report.host, {
      report: { ...report, appliances },
      appliances,
      mark: this.#marks,
      atMonotonic,
      atWall: this.#clock.now(),
      counters: seen === undefined || isReadAnew ? rates(seen, report) : seen.counters,
      cpuUsedBeforeMs: appliances.map(({ id }) => usedBeforeMs.get(id) ?? Number.NaN),
      atMonotonicBefore: seen?.atMonotonic ?? atMonotonic,
    });
    return { changes, news, mark: this.#marks };
  }

  /** What the report with that number told goes on, but for measurements; the report, unless another one is here. */
  takeHeartbeat(heartbeat: Heartbeat): HostReport | undefined {
    const seen = this.#seen.get(heartbeat.host);
    if (seen?.mark !== heartbeat.mark.number) return undefined;
    const { report, appliances, cpuUsedBeforeMs } = seen;
    const { cpuUsedMs, memoryBytes, pairs, pairsReadAt } = heartbeat;
    if (cpuUsedMs.length !== appliances.length || memoryBytes.length !== appliances.length) return undefined;
    for (let at = 0; at < appliances.length; at += 1) {
      const one = appliances[at]!;
      cpuUsedBeforeMs[at] = one.cpuUsedMs;
      one.cpuUsedMs = cpuUsedMs[at]!;
      one.memoryBytes = memoryBytes[at]!;
    }
    if (report.pairsReadAt !== pairsReadAt) seen.counters = rates(seen, heartbeat);
    report.pairs = pairs;
    report.pairsReadAt = pairsReadAt;
    report.usage = heartbeat.usage;
    report.at = heartbeat.at;
    seen.atMonotonicBefore = seen.atMonotonic;
    seen.atMonotonic = this.#clock.monotonic();
    seen.atWall = this.#clock.now();
    return report;
  }

  #index(host: HostId, before: readonly ApplianceReport[], after: readonly ApplianceReport[]): void {
    const [left, here] = [before, after].map((list) => new Set(list.map(({ id }) => ensembleOf(id))));
    for (const ensemble of left!.difference(here!)) {
      const holders = this.#holders.get(ensemble);
      holders?.delete(host);
      if (holders?.size === 0) this.#holders.delete(ensemble);
    }
    for (const ensemble of here!.difference(left!)) {
      const holders = this.#holders.get(ensemble);
      if (holders === undefined) this.#holders.set(ensemble, new Set([host]));
      else holders.add(host);
    }
  }

  /** Hosts whose newest report, however old, tells of an appliance of the ensemble. */
  holders(ensemble: string): Iterable<HostId> {
    return this.#holders.get(ensemble) ?? [];
  }

  report(host: HostId): HostReport | undefined {
    return this.#seen.get(host)?.report;
  }

  /** Newest reports of hosts that are not silent. */
  fresh(): ReadonlyMap<HostId, HostReport> {
    return new Map(
      [...this.#seen].filter(([host]) => this.isFresh(host)).map(([host, seen]) => [host, seen.report]),
    );
  }

  /** The newest report of a host, unless it is silent. */
  freshReport(host: HostId): HostReport | undefined {
    return this.isFresh(host) ? this.report(host) : undefined;
  }

  isFresh(host: HostId): boolean {
    const seen = this.#seen.get(host);
    return seen !== undefined && this.#clock.monotonic() - seen.atMonotonic < this.#silenceMs();
  }

  /** They were there before this manager was: until they have had time to tell, they count as there. */
  expect(hosts: Iterable<HostId>, withinMs: Millis): void {
    this.#expected = new Set(hosts);
    this.#expectedUntil = this.#clock.monotonic() + withinMs;
  }

  /**
   * To be called again and again, by what does nothing else. After a pause of this process, what hosts told meanwhile
   * may still have to be read, so those that were not silent before it get their time anew.
   */
  listening(pauseMsMax: Millis): void {
    const now = this.#clock.monotonic();
    const before = this.#listenedAt ?? now;
    this.#listenedAt = now;
    if (now - before <= pauseMsMax) return;
    const silenceMs = this.#silenceMs();
    const there = [...this.#seen].filter(([, { atMonotonic }]) => before - atMonotonic < silenceMs);
    const early = this.#isEarly() ? this.#expected : [];
    this.#expected = new Set([...early, ...there.map(([host]) => host)]);
    this.#expectedUntil = Math.max(this.#expectedUntil, now + silenceMs);
  }

  /** Heard of lately, or not yet due to be. */
  isThere(host: HostId): boolean {
    return this.isFresh(host) || (this.#expected.has(host) && this.#isEarly());
  }

  /**
   * Silent for longer than any lease it was granted, by whichever manager. A host not heard of at all is lost once
   * those this manager found have had their time.
   */
  isLost(host: HostId): boolean {
    return !this.isFresh(host) && !this.#isEarly();
  }

  #isEarly(): boolean {
    return this.#clock.monotonic() < this.#expectedUntil;
  }

  lastSeen(host: HostId): Millis | undefined {
    return this.#seen.get(host)?.atWall;
  }

  /** Traffic from one appliance to another as the sender's or the receiver's host counted it. */
  traffic(hosts: readonly HostId[], from: MacAddress, to: MacAddress): { bytes: number; bps: BitsPerSecond } {
    for (const host of hosts) {
      const counted = this.#seen.get(host)?.counters.get(pairKey(from, to));
      if (counted !== undefined) return counted;
    }
    return { bytes: 0, bps: bitsPerSecond(0) };
  }

  /** All an interface sent and got, as its own host counted it. */
  interfaceTraffic(host: HostId, mac: MacAddress): InterfaceTraffic {
    const counters = this.#seen.get(host)?.counters;
    if (counters === undefined) return noTraffic;
    const sums = this.#sums.get(counters) ?? interfaceSums(counters);
    this.#sums.set(counters, sums);
    return sums.get(mac) ?? noTraffic;
  }

  cpuMilli(host: HostId, appliance: string): number {
    const seen = this.#seen.get(host);
    if (seen === undefined) return 0;
    const at = seen.appliances.findIndex((one) => one.id === appliance);
    const usedMs = (seen.appliances[at]?.cpuUsedMs ?? Number.NaN) - (seen.cpuUsedBeforeMs[at] ?? Number.NaN);
    const elapsedMs = seen.atMonotonic - seen.atMonotonicBefore;
    if (Number.isNaN(usedMs) || elapsedMs <= 0) return 0;
    return Math.max(0, Math.round((usedMs / elapsedMs) * 1000));
  }
}

export type ApplianceChange = { before: ApplianceReport | undefined; after: ApplianceReport };

/** Whether two reports, with the same appliances in the same states, differ in measurements alone. */
function sameWorld(a: HostReport, b: HostReport): boolean {
  return (
    a.epoch === b.epoch &&
    a.acceptedRevision === b.acceptedRevision &&
    a.convergedRevision === b.convergedRevision &&
    a.problems.length === b.problems.length &&
    a.problems.every((one, index) => one.message === b.problems[index]?.message) &&
    a.appliances.every((one, index) => sameStanding(one, b.appliances[index])) &&
    a.tunnels.length === b.tunnels.length &&
    a.tunnels.every((one, index) => one.up === b.tunnels[index]?.up)
  );
}

/** A move's next step waits for what its sides tell. */
function sameStanding(a: ApplianceReport, b: ApplianceReport | undefined): boolean {
  const [one, other] = [a.vm?.move, b?.vm?.move];
  return a.generation === b?.generation && one?.phase === other?.phase && one?.port === other?.port;
}

/** The part of a report that is about the host itself and worth keeping. */
export function hostRecordOf(report: HostReport): HostRecord {
  return {
    id: report.host,
    site: report.site,
    role: report.role,
    address: report.address,
    siteSubnet: report.siteSubnet,
    capacity: report.capacity,
    labels: report.labels,
    capabilities: report.capabilities,
    ...(report.outsideAddress === undefined ? {} : { outsideAddress: report.outsideAddress }),
    ...(report.tunnelPublicKey === undefined ? {} : { tunnelPublicKey: report.tunnelPublicKey }),
    ...(report.blobPort === undefined ? {} : { blobPort: report.blobPort }),
  };
}

/** Whether a report tells anything new of the host itself. */
export function tellsOf(report: HostReport, record: HostRecord | undefined): boolean {
  return (
    record !== undefined &&
    report.host === record.id &&
    report.site === record.site &&
    report.role === record.role &&
    report.address === record.address &&
    report.siteSubnet === record.siteSubnet &&
    report.outsideAddress === record.outsideAddress &&
    report.tunnelPublicKey === record.tunnelPublicKey &&
    report.blobPort === record.blobPort &&
    sameFields(report.capacity, record.capacity) &&
    sameFields(report.labels, record.labels) &&
    sameFields(report.capabilities, record.capabilities)
  );
}

/** Of flat objects, or of lists of plain values. Told for every report: a comparison of anything would cost more. */
function sameFields(a: object, b: object): boolean {
  if (a === b) return true;
  const other = b as Readonly<Record<string, unknown>>;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && (a as typeof other)[name] === other[name]);
}

export type InterfaceTraffic = {
  readonly inBytes: number;
  readonly outBytes: number;
  readonly inBps: number;
  readonly outBps: number;
};

const noTraffic: InterfaceTraffic = { inBytes: 0, outBytes: 0, inBps: 0, outBps: 0 };

/** By MAC address, over all its pairs. */
function interfaceSums(counters: Seen["counters"]): ReadonlyMap<string, InterfaceTraffic> {
  const sums = new Map<string, InterfaceTraffic>();
  for (const [key, { bytes, bps }] of counters) {
    const [from = "", to = ""] = key.split(" ");
    const sender = sums.get(from) ?? noTraffic;
    sums.set(from, { ...sender, outBytes: sender.outBytes + bytes, outBps: sender.outBps + bps });
    const receiver = sums.get(to) ?? noTraffic;
    sums.set(to, { ...receiver, inBytes: receiver.inBytes + bytes, inBps: receiver.inBps + bps });
  }
  return sums;
}

const pairKey = (from: MacAddress, to: MacAddress): string => `${from} ${to}`;

const noCounters: Seen["counters"] = new Map();

function rates(
  seen: Pick<Seen, "counters" | "report"> | undefined,
  { pairs, pairsReadAt }: Pick<HostReport, "pairs" | "pairsReadAt">,
): Seen["counters"] {
  if (pairs.length === 0) return noCounters;
  const elapsedMs = seen === undefined ? 0 : pairsReadAt - seen.report.pairsReadAt;
  return new Map(
    pairs.map((pair) => {
      const before = seen?.counters.get(pairKey(pair.fromMac, pair.toMac));
      const bps = elapsedMs <= 0 ? 0 : ((pair.bytes - (before?.bytes ?? 0)) * 8000) / elapsedMs;
      return [pairKey(pair.fromMac, pair.toMac), { bytes: pair.bytes, bps: bitsPerSecond(Math.max(0, bps)) }];
    }),
  );
}

const ensembleOf = (appliance: string): string => appliance.slice(0, appliance.indexOf("/"));

/** Reports mostly name the same appliances in the same order: then nothing has to be looked up. */
function sameIds(before: readonly ApplianceReport[], after: readonly ApplianceReport[]): boolean {
  return before.length === after.length && after.every((one, at) => one.id === before[at]!.id);
}

function changesSince(
  before: readonly ApplianceReport[],
  after: readonly ApplianceReport[],
  isAligned: boolean,
): ApplianceChange[] {
  const old = isAligned ? undefined : new Map(before.map((one) => [one.id, one]));
  const changes: ApplianceChange[] = [];
  for (let at = 0; at < after.length; at += 1) {
    const one = after[at]!;
    const was = old === undefined ? before[at] : old.get(one.id);
    if (was?.state !== one.state || was.restarts !== one.restarts) changes.push({ before: was, after: one });
  }
  return changes;
}

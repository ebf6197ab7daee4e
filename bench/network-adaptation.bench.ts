import { median, quantile } from "#base/quantiles.ts";
import { bitsPerSecond, megabitsPerSecond } from "#base/units.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { Fabric, trafficOf } from "../test/network/fabric.ts";
import type { Guest, TestHost } from "../test/network/fabric.ts";
import { Reserver } from "../test/network/reserver.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

const reference = "49.79";
const runs = 5;
const sizes = [2, 20, 200];
const most = 200;
/** Of each class, and what moves from one to another. */
const ownBps = 2e6;
const movedBps = 1e6;

/**
 * network_adapt: bandwidth moves from one class to another while `n` classes exist, and all rates change at once: from
 * the call to the kernel's acknowledgement. Beside it, in the same run, the same changes by starting `tc`.
 */
export const benchmark: Benchmark = {
  name: "network-adaptation",
  about:
    "time to move bandwidth from one class to another, and to change 200 classes, to the kernel's acknowledgement",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    await using fabric = await Fabric.make(2, megabitsPerSecond(1000));
    const [host] = fabric.hosts;
    if (host === undefined) throw new Error("the fabric has no host");
    await fabric.addNamespaces([`${fabric.prefix}g1`]);
    for (const size of sizes) {
      signal.throwIfAborted();
      progress(`${size} appliances with traffic classes`);
      const subject = new HostSubject(fabric, host, size);
      await subject.begin();
      rows.push(...(await moved(`${size} appliances, their host's plan`, 300, subject, signal)));
      if (size === most) {
        rows.push(...(await allAtOnce("their host's plan", 40, subject, signal)));
        const tc = new TcSubject(fabric, host);
        rows.push(...(await moved(`${size} appliances, tc started`, 12, tc, signal)));
        rows.push(...(await allAtOnce("tc started", 8, tc, signal)));
      }
    }
    await host.converge({ segments: [], ports: [], shapedPairs: [] });
    for (const size of sizes) {
      signal.throwIfAborted();
      progress(`${size} reservations of a program`);
      await using reserver = new Reserver(host);
      const subject = new LibrarySubject(reserver, size);
      await subject.begin();
      rows.push(...(await moved(`${size} reservations, library`, 300, subject, signal)));
      if (size === most) rows.push(...(await allAtOnce("library", 40, subject, signal)));
      await reserver.ask({ ask: "close" });
    }
    return rows;
  },
};

/** Something with classes that are numbered from 0. */
type Subject = {
  /** Gives these classes these rates; how long it took, in ms. */
  adapt(rates: readonly { readonly at: number; readonly rateBps: number }[]): Promise<number>;
};

async function moved(
  what: string,
  times: number,
  subject: Subject,
  signal: AbortSignal,
): Promise<BenchRow[]> {
  const isOurs = !(subject instanceof TcSubject);
  const change = (at: number): Promise<number> => {
    const back = at % 2 === 1;
    return subject.adapt([
      { at: 0, rateBps: back ? ownBps : ownBps + movedBps },
      { at: 1, rateBps: back ? ownBps : ownBps - movedBps },
    ]);
  };
  return rowsOf(what, "bandwidth moved from one to another", isOurs ? 0.1 : undefined, times, change, signal);
}

async function allAtOnce(
  what: string,
  times: number,
  subject: Subject,
  signal: AbortSignal,
): Promise<BenchRow[]> {
  const isOurs = !(subject instanceof TcSubject);
  const change = (at: number): Promise<number> =>
    subject.adapt(
      Array.from({ length: most }, (_each, one) => ({
        at: one,
        rateBps: ownBps + ((at + one) % 2 === 0 ? movedBps : 0),
      })),
    );
  return rowsOf(
    `${most} classes, ${what}`,
    "all changed at once",
    isOurs ? 15 : undefined,
    times,
    change,
    signal,
  );
}

async function rowsOf(
  what: string,
  metric: string,
  aimMs: number | undefined,
  times: number,
  change: (at: number) => Promise<number>,
  signal: AbortSignal,
): Promise<BenchRow[]> {
  const series: number[][] = [];
  for (let run = 0; run < runs; run += 1) {
    const taken: number[] = [];
    for (let at = 0; at < times; at += 1) {
      signal.throwIfAborted();
      taken.push(await change(at));
    }
    series.push(taken);
  }
  const row = (name: string, values: readonly number[], aim: number | undefined): BenchRow => {
    const { value, low, high } = range(values);
    const ok = aim === undefined || value <= aim;
    const words = aim === undefined ? "-" : `≤ ${aim}`;
    return { case: what, metric: name, unit: "ms", reference, aim: words, value, low, high, ok };
  };
  const p99 = series.map((taken) => quantile(taken, 0.99));
  return [row(`${metric}, median`, series.map(median), aimMs), row(`${metric}, p99`, p99, undefined)];
}

/** Appliances with a traffic class each: every adaptation is a whole new plan for the host. */
class HostSubject implements Subject {
  readonly #host: TestHost;
  readonly #guests: readonly Guest[];
  readonly #plan: NetworkPlan;
  readonly #rates: number[];

  constructor(fabric: Fabric, host: TestHost, size: number) {
    this.#host = host;
    const guest = (number: number, on: number): Guest => ({
      ensemble: "bench",
      network: "lan",
      name: `guest-${number}`,
      host: on,
      number,
    });
    this.#guests = Array.from({ length: size }, (_each, at) => guest(at + 1, 1));
    this.#rates = this.#guests.map(() => ownBps);
    const plan = fabric.plan(host, [...this.#guests, guest(size + 1, 2)]);
    // All interfaces in one namespace: what is measured is not the namespaces.
    this.#plan = {
      ...plan,
      ports: plan.ports.map((port, at) => ({
        ...port,
        netns: `/run/netns/${fabric.prefix}g1`,
        interface: { ...port.interface, name: `eth${at}` },
      })),
    };
  }

  async begin(): Promise<void> {
    await this.#host.converge({ segments: [], ports: [], shapedPairs: [] });
    await this.adapt([]);
    await this.adapt([]);
    const shown = await this.#host.run("tc", "class", "show", "dev", "uplink");
    const classes = shown.split("\n").filter((line) => / parent c057:1 rate/.test(line));
    if (classes.length !== this.#guests.length) throw new Error(`not one class for each appliance: ${shown}`);
  }

  async adapt(rates: readonly { readonly at: number; readonly rateBps: number }[]): Promise<number> {
    for (const { at, rateBps } of rates) this.#rates[at] = rateBps;
    const traffic = this.#guests.map((guest, at) => trafficOf(guest, { out: this.#rates[at] ?? ownBps }));
    return (await this.#host.converge({ ...this.#plan, traffic })).tookMs;
  }
}

/** Reservations that a program holds itself. */
class LibrarySubject implements Subject {
  readonly #reserver: Reserver;
  readonly #size: number;

  constructor(reserver: Reserver, size: number) {
    this.#reserver = reserver;
    this.#size = size;
  }

  async begin(): Promise<void> {
    await this.#reserver.ask({ ask: "open", direction: "out", interface: "uplink", bandwidthBps: 1e9 });
    for (let at = 0; at < this.#size; at += 1) {
      const targets = [{ address: `10.1.0.${at}` }];
      const reservation = { name: `r${at}`, rateBps: bitsPerSecond(ownBps), priority: 0, targets };
      await this.#reserver.ask({ ask: "reserve", reservation });
    }
  }

  adapt(rates: readonly { readonly at: number; readonly rateBps: number }[]): Promise<number> {
    const changes = rates.map(({ at, rateBps }) => ({ name: `r${at}`, rateBps: bitsPerSecond(rateBps) }));
    return this.#reserver.ask({ ask: "adapt", changes });
  }
}

/** The classes of the appliances, changed by one `tc` for all of them: what starts it is measured too. */
class TcSubject implements Subject {
  readonly #fabric: Fabric;
  readonly #host: TestHost;

  constructor(fabric: Fabric, host: TestHost) {
    this.#fabric = fabric;
    this.#host = host;
  }

  async adapt(rates: readonly { readonly at: number; readonly rateBps: number }[]): Promise<number> {
    const lines = rates.map(({ at, rateBps }) => {
      const minor = (0xe001 + 2 * at).toString(16);
      return `class change dev uplink parent c057:${(0xe000 + 2 * at).toString(16)} classid c057:${minor} htb rate ${rateBps}bit ceil 990mbit`;
    });
    const started = performance.now();
    await this.#fabric.batchIn(this.#host.namespace, "tc", lines);
    return performance.now() - started;
  }
}

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, addressOfGuest } from "../test/network/fabric.ts";
import type { Guest } from "../test/network/fabric.ts";
import { untilListening } from "../test/network/transfer.ts";
import { median } from "#base/quantiles.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";

const neighbourCounts = [10, 100, 1000, 10_000];
/** Intervals of one transfer, with the rules in force and asleep in turn: the machine's mood is the same for both. */
const blocks = 5;
const pairsPerBlock = 10;
const intervalSeconds = 0.1;
const references = [
  "6.2 (rules per pair)",
  '"great" (rules per pair)',
  "53 (nft rules per pair)",
  "91 (nft rules per pair)",
];

/** The reference's hosts had links of 1 Gbit/s; the other is as fast as memory lets frames go here. */
const links = [
  { name: "1 Gbit/s link", bandwidthBps: megabitsPerSecond(1000) },
  { name: "no limit", bandwidthBps: megabitsPerSecond(100_000) },
];

const guest = (number: number, host: number): Guest => ({
  ensemble: "bench",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});

/** TCP between two hosts as fast as it goes, with the rules in force and asleep. */
export const benchmark: Benchmark = {
  name: "isolation",
  about: "throughput lost to isolation with many permitted neighbours",
  async run(options): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    for (const link of links) rows.push(...(await overLink(link, options)));
    return rows;
  },
};

async function overLink(
  link: (typeof links)[number],
  { signal, progress }: BenchOptions,
): Promise<BenchRow[]> {
  const from = guest(1, 1);
  const to = guest(2, 2);
  await using fabric = await Fabric.make(2, link.bandwidthBps);
  await fabric.addGuests([from, to]);
  const rows: BenchRow[] = [];
  for (const [at, count] of neighbourCounts.entries()) {
    // Neighbours live on a host that is not there; only the first two have a namespace.
    const others = Array.from({ length: count - 1 }, (_each, number) => guest(number + 3, 3));
    await fabric.converge([from, to, ...others]);
    progress(`${link.name}, ${count} neighbours`);
    const losses = await alternate(fabric, from, to, signal);
    const figures = range(losses);
    rows.push({
      case: `${link.name}, ${count} permitted neighbours`,
      metric: "throughput lost against no rules",
      unit: "%",
      reference: references[at] ?? "-",
      aim: "< 1",
      ...figures,
      ok: figures.value < 1,
    });
  }
  return rows;
}

/** Loss in percent, once per block of intervals of one transfer. */
async function alternate(fabric: Fabric, from: Guest, to: Guest, signal: AbortSignal): Promise<number[]> {
  const server = fabric.spawnInGuest(to, "iperf3", "-s", "-1", "--forceflush");
  await untilListening(server.stdout);
  const client = fabric.spawnInGuest(
    from,
    "iperf3",
    "--forceflush",
    "-fm",
    "-t600",
    `-i${intervalSeconds}`,
    `-c${addressOfGuest(to)}`,
  );
  const losses: number[] = [];
  const rates: Record<State, number[]> = { on: [], off: [] };
  let order: readonly State[] = ["on", "off"];
  let at = 0;
  // The interval in which the rules change counts for neither.
  let settling = 10;
  try {
    for await (const line of createInterface({ input: client.stdout ?? Readable.from([]), signal })) {
      const rate = Number(/([\d.]+) Mbits\/sec/.exec(line)?.[1] ?? Number.NaN);
      if (Number.isNaN(rate)) continue;
      if (settling > 0) {
        settling -= 1;
        continue;
      }
      rates[order[at] ?? "on"].push(rate);
      if (rates.on.length + rates.off.length === 2 * pairsPerBlock) {
        losses.push((1 - median(rates.on) / median(rates.off)) * 100);
        rates.on = [];
        rates.off = [];
      }
      if (losses.length === blocks) break;
      at = 1 - at;
      if (at === 0) order = order.toReversed();
      await setRules(fabric, order[at] ?? "on");
      settling = 2;
    }
  } finally {
    client.kill("SIGKILL");
    server.kill("SIGKILL");
    await setRules(fabric, "on");
  }
  return losses;
}

type State = "on" | "off";

/** A dormant table keeps its sets and sees no frame. */
async function setRules(fabric: Fabric, state: State): Promise<void> {
  const flags = state === "off" ? ["{ flags dormant; }"] : [];
  const tables = fabric.hosts.flatMap((host) => ["bridge", "ip"].map((family) => ({ host, family })));
  await Promise.all(
    tables.map(({ host, family }) => host.run("nft", "add", "table", family, "consort", ...flags)),
  );
}

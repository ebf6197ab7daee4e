import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, shaped } from "../test/network/fabric.ts";
import type { Guest } from "../test/network/fabric.ts";
import { median } from "#base/quantiles.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

const changes = 400;
const runs = 5;

/** A changed rate: from the whole plan arriving at the driver to the kernel's acknowledgement of the new class. */
export const benchmark: Benchmark = {
  name: "network-adaptation",
  about: "time from a plan with one changed rate reaching the network driver to the kernel's confirmation",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    for (const members of [4, 20, 100]) {
      signal.throwIfAborted();
      progress(`${members} appliances on a segment`);
      const medians = await measure(members, signal);
      const { value, low, high } = range(medians);
      rows.push({
        case: `${members} appliances, ${members / 2} of them here, every pair between the hosts shaped, up to 200`,
        metric: "one changed rate, request to confirmed in kernel",
        unit: "ms",
        reference: "49.79",
        aim: "≤ 0.5 median",
        value,
        low,
        high,
        ok: value <= 0.5,
      });
    }
    return rows;
  },
};

async function measure(members: number, signal: AbortSignal): Promise<number[]> {
  await using fabric = await Fabric.make(2, megabitsPerSecond(1000));
  const guests = Array.from({ length: members }, (_each, at): Guest => ({
    ensemble: "bench",
    network: "lan",
    name: `guest-${at + 1}`,
    host: (at % 2) + 1,
    number: at + 1,
  }));
  await fabric.addGuests(guests.filter((guest) => guest.host === 1));
  const [host] = fabric.hosts;
  if (host === undefined) throw new Error("the fabric has no host");
  const pairs = guests
    .filter((guest) => guest.host === 1)
    .flatMap((from) => guests.filter((guest) => guest.host === 2).map((to) => ({ from, to })))
    .slice(0, 200);
  const planWith = (firstRateBps: number) =>
    fabric.plan(host, guests, {
      shaped: pairs.map(({ from, to }, at) => shaped(from, to, at === 0 ? firstRateBps : 1e6)),
    });
  await host.converge(planWith(10e6));
  const medians: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    signal.throwIfAborted();
    const times: number[] = [];
    for (let change = 0; change < changes; change += 1) {
      times.push((await host.converge(planWith(10e6 + (change % 50) * 1e6))).tookMs);
    }
    medians.push(median(times));
    const rates = await host.run("tc", "class", "show", "dev", "uplink");
    const last = 10 + ((changes - 1) % 50);
    if (!rates.includes(`rate ${Math.round((last * 1e3 * 1514) / 1464)}`)) {
      throw new Error(`the kernel does not show the last rate: ${rates}`);
    }
  }
  return medians;
}

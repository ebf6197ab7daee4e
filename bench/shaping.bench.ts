import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, shaped } from "../test/network/fabric.ts";
import type { Guest } from "../test/network/fabric.ts";
import { goodput, goodputShare } from "../test/network/transfer.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

const ratesMbit = [16, 40, 160, 600];
const runs = 3;
const secondsPerRun = 3;

const guest = (number: number, host: number): Guest => ({
  ensemble: "bench",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});

/** One TCP transfer between two hosts in a class that may not borrow: what arrives against what was promised. */
export const benchmark: Benchmark = {
  name: "shaping",
  about: "error of a link's rate, after the headers of frame, IP and TCP",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const from = guest(1, 1);
    const to = guest(2, 2);
    await using fabric = await Fabric.make(2, megabitsPerSecond(1000));
    await fabric.addGuests([from, to]);
    const rows: BenchRow[] = [];
    for (const rateMbit of ratesMbit) {
      const rate = rateMbit * 1e6;
      await fabric.converge([from, to], { shaped: [shaped(from, to, rate, { ceilingBps: rate })] });
      const errors: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        signal.throwIfAborted();
        progress(`${rateMbit} Mbit/s, run ${run + 1} of ${runs}`);
        const port = 5300 + rows.length * runs + run;
        const got = await goodput(fabric, from, to, { seconds: secondsPerRun, port });
        errors.push((got / (rate * goodputShare) - 1) * 100);
      }
      const figures = range(errors);
      rows.push({
        case: `${rateMbit} Mbit/s`,
        metric: "goodput against the promised rate after headers",
        unit: "%",
        reference: "-",
        aim: "within ±2",
        ...figures,
        ok: Math.abs(figures.value) <= 2,
      });
    }
    return rows;
  },
};

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { PlayStep } from "#sim/scenario/play.ts";
import { playScenario } from "#sim/scenario/run.ts";
import { arriving, largeCloud } from "./large-cloud.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

/** One hour of a cloud that runs already, in a process of its own, so that its memory is its own. */
type Measured = {
  readonly peakMiB: number;
  readonly hourSeconds: number;
  readonly startSeconds: number;
  readonly events: number;
  readonly recovered: boolean;
};

const sizes = [100, 1000, 10_000];
const aims = { hosts: 10_000, peakMiB: 4096, hourSeconds: 300 };
const hourMs = 3_600_000;
/** Everything of the snapshot is started meanwhile: not what is measured. */
const startMs = 120_000;

async function measure(hosts: number, hours: number): Promise<Measured> {
  const snapshot = largeCloud(hosts);
  const lost = hostId("a7");
  const { signal } = new AbortController();
  const durationMs = millis(startMs + hours * hourMs);
  const startedAt = performance.now();
  let runningAt = startedAt;
  const at = (share: number) => millis(startMs + share * hours * hourMs);
  const result = await playScenario(
    {
      name: "scale",
      durationMs,
      seed: 1,
      policy: { placement: "spread", consolidate: false },
      topology: snapshot.topology,
      snapshot,
      steps: [
        {
          kind: "fault",
          atMs: at(1 / 3),
          fault: { kind: "power-loss", atMs: at(1 / 3), host: lost, downForMs: millis(600_000) },
        },
        ...elsewhere(snapshot, lost, at(1 / 3 + 1 / 12)),
      ],
      load: [
        {
          ensemble: arriving,
          perMs: 3 / 60_000,
          lifetime: { kind: "exponential", meanMs: millis(900_000) },
          fromMs: millis(startMs),
          untilMs: durationMs,
          most: 1000,
        },
      ],
      demand: [],
    },
    {
      signal,
      onProgress: (atMs) => {
        if (atMs <= startMs) runningAt = performance.now();
        process.stderr.write(
          `${hosts} hosts: ${Math.round(atMs / 1000)} s simulated in ${Math.round((performance.now() - startedAt) / 1000)} s, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB\n`,
        );
      },
    },
  );
  if (result.breach !== undefined) throw new Error(`${result.breach.invariant}: ${result.breach.message}`);
  return {
    peakMiB: process.resourceUsage().maxRSS / 1024,
    hourSeconds: (performance.now() - runningAt) / 1000 / hours,
    startSeconds: (runningAt - startedAt) / 1000,
    events: result.events,
    recovered: result.verdicts.length > 0 && result.verdicts.every(({ met }) => met),
  };
}

/** That at one moment what was on a host runs, and not there. */
function elsewhere({ ensembles }: CloudSnapshot, host: HostId, atMs: Millis): PlayStep[] {
  return ensembles
    .filter(({ placements }) => Object.values(placements).includes(host))
    .flatMap(({ ensemble: { name: subject } }) => [
      { kind: "state", subject, state: "running", text: `${subject} running` } as const,
      { kind: "placed", subject, host, wanted: false, text: `${subject} not on ${host}` } as const,
    ])
    .map((expectation) => ({ kind: "expect", atMs, expectation }));
}

async function measureApart(
  hosts: number,
  hours: number,
  signal: AbortSignal,
  progress: (line: string) => void,
): Promise<Measured> {
  const flags = [
    "--max-old-space-size=3072",
    "--max-semi-space-size=192",
    import.meta.filename,
    String(hosts),
    String(hours),
  ];
  const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "pipe"], signal });
  child.stderr.setEncoding("utf8").on("data", (lines: string) => progress(lines.trimEnd()));
  const [output] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return JSON.parse(output) as Measured;
}

export const benchmark: Benchmark = {
  name: "scale",
  about:
    "The managers of up to 10,000 hosts and 100,000 appliances, simulated: memory, real time per simulated hour",
  async run({ signal, progress }) {
    const rows: BenchRow[] = [];
    for (const hosts of sizes) {
      const one = await measureApart(hosts, 1, signal, progress);
      const name = `${hosts} hosts, ${hosts * 10} appliances`;
      const isAim = hosts === aims.hosts;
      const row = (metric: string, unit: string, value: number, aim: string, ok: boolean): BenchRow => ({
        case: name,
        metric,
        unit,
        reference: "-",
        aim,
        value,
        low: value,
        high: value,
        ok,
      });
      rows.push(
        row(
          "peak memory",
          "MiB",
          one.peakMiB,
          isAim ? `<= ${aims.peakMiB}` : "-",
          !isAim || one.peakMiB <= aims.peakMiB,
        ),
        row(
          "real time per simulated hour",
          "s",
          one.hourSeconds,
          isAim ? `<= ${aims.hourSeconds}` : "-",
          !isAim || one.hourSeconds <= aims.hourSeconds,
        ),
        row("real time to start all of it", "s", one.startSeconds, "-", true),
        row("events", "", one.events, "-", true),
        row("lost host's appliances run elsewhere", "", one.recovered ? 1 : 0, "1", one.recovered),
      );
    }
    return rows;
  },
};

if (import.meta.main) {
  const [hosts = "100", hours = "1"] = process.argv.slice(2);
  process.stdout.write(`${JSON.stringify(await measure(Number(hosts), Number(hours)))}\n`);
}

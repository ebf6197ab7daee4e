import { errorTable } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { progressOn } from "#cli/progress.ts";
import { badInput, endingAsTold, refuseContradictions, seedsOf } from "#cli/simulate-options.ts";
import { readPlay, readScenario, readSnapshot, snapshotOf } from "#cli/simulate-files.ts";
import type { WrittenScenario } from "#cli/simulate-files.ts";
import { formatResult, isGood, isMistake, moment, summaryLine } from "#cli/simulate-report.ts";
import { runSwarm } from "#cli/simulate-swarm.ts";
import { checkWritable, writeTextFile } from "#cli/writable-file.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { ReportPart } from "#formats/scenario-content.ts";
import { cpuSvg } from "#sim/scenario/chart-svg.ts";
import type { Play } from "#sim/scenario/play.ts";
import { playScenario } from "#sim/scenario/run.ts";
import type { ScenarioResult } from "#sim/scenario/run.ts";
import { shrinkPlay } from "#sim/scenario/shrink.ts";
import { describeFault } from "#sim/swarm/describe.ts";

const traceLinesMost = 1_000_000;
/** A running cloud alone is watched for so long. */
const liveUnlessToldMs = millis(60_000);
/** Runs tried to leave out faults that a failure does not need. */
const shrinkRuns = 100;

export const command: Command = {
  usage: [
    "simulate FILE",
    "simulate --swarm",
    "simulate --from-live [FILE]",
    "simulate --snapshot SNAPSHOT [FILE]",
  ],
  options: {
    ...apiOptions,
    seed: { about: "The same seed gives the same run, to the last event (the file's, else 1)", value: "N" },
    seeds: { about: "Run one seed after the other, both ends included", value: "A..B" },
    until: { about: "End at this moment of virtual time, sooner or later than the file says", value: "TIME" },
    svg: { about: "Write the chart of CPU over time to this file", value: "FILE" },
    trace: { about: "Print every event of the run" },
    swarm: { about: "Random clouds, users and faults instead of a file" },
    "from-live": { about: "Start from the cloud that runs now, as its manager tells it" },
    snapshot: { about: "Start from what consort snapshot wrote", value: "SNAPSHOT" },
  },
  about: [
    "Plays a scenario in virtual time: the managers are the real ones, hosts, network and store never were. Invariants are\nlooked at on the way: no appliance runs twice, no acknowledged change is lost, no host is over-admitted, and more.",
    "Exit code 1 when an expectation of the file was not met, a step was refused that was not expected to be, or an\ninvariant was broken; then one line tells how to run it again, and the faults are shown that it needs. Names that\nthe cloud does not have are told before the run. Interrupted, it tells what it saw so far. It touches no host.",
  ],
  examples: [
    { line: "consort simulate examples/five-tasks/five-tasks.scenario.yaml", what: "with its chart" },
    { line: "consort simulate rack.scenario.yaml --seeds 1..100", what: "what chance makes of it" },
    { line: "consort simulate --swarm --seeds 1..200", what: "look for a defect of the managers" },
    {
      line: "consort simulate --from-live examples/lose-b2.scenario.yaml",
      what: "what if, without doing it",
    },
  ],
  takes: [0, 1],
  async run(given, context) {
    refuseContradictions(given);
    const seeds = seedsOf(given);
    const [file] = given.positionals;
    if (given.has("swarm")) return runSwarm(seeds ?? [given.number("seed") ?? 1], given, context);
    const svg = given.text("svg");
    if (svg !== undefined) await checkWritable(svg);
    const start = await startOf(given, context);
    if (file === undefined && start === undefined)
      throw badInput("no scenario is given, wanted FILE, --swarm, --from-live or --snapshot SNAPSHOT");
    const written = file === undefined ? liveScenario() : await readScenario(file, context);
    const play = endingAsTold(await readPlay(written, file ?? "", start, context), given);
    const all = seeds ?? [given.number("seed") ?? play.seed];
    return all.length === 1 || seeds === undefined
      ? playOne({ ...play, seed: all[0] ?? 1 }, written.scenario.report, file, given, context)
      : playMany(all, play, file, given, context);
  },
};

async function startOf(given: Arguments, context: CommandContext): Promise<CloudSnapshot | undefined> {
  const file = given.text("snapshot");
  if (!given.has("from-live")) return file === undefined ? undefined : readSnapshot(file, context);
  const client = await connect(given, context);
  return snapshotOf(await client.text("/v1/snapshot", context.signal), "the manager's snapshot");
}

const liveScenario = (): WrittenScenario => ({
  scenario: {
    name: "live",
    durationMs: liveUnlessToldMs,
    seed: 1,
    cloud: { kind: "snapshot-file", file: "" },
    policy: { placement: "spread", consolidate: false },
    steps: [],
    load: [],
    demand: [],
    report: ["chart", "table", "events", "operations"],
  },
});

async function playOne(
  play: Play,
  parts: readonly ReportPart[],
  file: string | undefined,
  given: Arguments,
  context: CommandContext,
): Promise<number> {
  const { terminal, clock } = context;
  const progress = progressOn(context);
  const json = given.has("json");
  const startedMs = clock.monotonic();
  const result = await playScenario(play, {
    signal: context.signal,
    ...(given.has("trace") ? { traceLines: traceLinesMost } : {}),
    onProgress: (atMs) => {
      // Elsewhere than on a terminal every line would stay.
      if (terminal.errIsTerminal && !json)
        progress.show(`${play.name}: ${moment(atMs)} of ${moment(play.durationMs)}`);
    },
  });
  progress.end();
  if (json) terminal.out(`${JSON.stringify(plain(result), undefined, 2)}\n`);
  else {
    if (given.has("trace")) terminal.out(`${result.trace.join("\n")}\n`);
    terminal.out(`${formatResult(result, play.topology, parts, lineWidth(terminal))}\n`);
    terminal.out(`${summaryLine(result)} in ${((clock.monotonic() - startedMs) / 1000).toFixed(1)} s\n`);
    if (result.breach !== undefined) await tellFailure(play, result, file, given, context);
  }
  // After the report: what cannot be written loses nothing else.
  const svg = given.text("svg");
  if (svg !== undefined) await writeTextFile(svg, cpuSvg(result.cpu, play.topology, play.name));
  if (!isGood(result)) return 1;
  return result.interrupted ? errorTable.cancelled.exit : 0;
}

async function playMany(
  seeds: readonly number[],
  play: Play,
  file: string | undefined,
  given: Arguments,
  context: CommandContext,
): Promise<number> {
  const { terminal, signal } = context;
  const progress = progressOn(context);
  const results: ScenarioResult[] = [];
  for (const seed of seeds) {
    if (terminal.errIsTerminal) progress.show(`seed ${seed}: ${results.length} of ${seeds.length} run`);
    const result = await playScenario({ ...play, seed }, { signal });
    // A run that was cut off says nothing about its seed.
    if (result.interrupted) break;
    results.push(result);
    if (isGood(result) || given.has("json")) continue;
    progress.end();
    terminal.out(`${formatResult(result, play.topology, [], lineWidth(terminal))}\n`);
    await tellFailure({ ...play, seed }, result, file, given, context);
  }
  progress.end();
  const bad = results.filter((result) => !isGood(result));
  if (given.has("json")) terminal.out(`${JSON.stringify(results.map(brief), undefined, 2)}\n`);
  else {
    const left = signal.aborted ? `; interrupted, ${seeds.length - results.length} not run` : "";
    terminal.out(`${results.length} seeds, ${bad.length} not as expected${left}\n`);
  }
  if (bad.length > 0) return 1;
  return signal.aborted ? errorTable.cancelled.exit : 0;
}

/** One line that runs it again; of a broken invariant also the faults it takes. */
async function tellFailure(
  play: Play,
  result: ScenarioResult,
  file: string | undefined,
  given: Arguments,
  { terminal, signal }: CommandContext,
): Promise<void> {
  const start = given.text("snapshot");
  const from = given.has("from-live") ? " --from-live" : start === undefined ? "" : ` --snapshot ${start}`;
  const until = given.text("until");
  const ending = until === undefined ? "" : ` --until ${until}`;
  terminal.out(
    `again: consort simulate${file === undefined ? "" : ` ${file}`}${from}${ending} --seed ${play.seed}\n`,
  );
  if (result.breach === undefined || signal.aborted) return;
  const faults = await shrinkPlay(play, result.breach, { signal, runs: shrinkRuns });
  terminal.out(
    faults.length === 0
      ? "It takes no fault\n"
      : `It takes these faults:\n${faults.map((fault) => `  ${moment(fault.atMs)}  ${describeFault(fault)}\n`).join("")}`,
  );
}

const brief = ({ seed, breach, verdicts, asked, events, traceHash }: ScenarioResult): unknown => ({
  seed,
  breach,
  unmet: verdicts.filter((verdict) => !verdict.met),
  refused: asked.filter(isMistake),
  events,
  traceHash,
});

/** Maps as objects, for JSON. */
function plain(result: ScenarioResult): unknown {
  const { cpu, trace: _trace, ...rest } = result;
  const appliances = [...cpu.appliances].map(([host, lines]) => [host, Object.fromEntries(lines)] as const);
  return {
    ...rest,
    cpu: {
      atMs: cpu.atMs,
      running: cpu.running,
      hosts: Object.fromEntries(cpu.hosts),
      appliances: Object.fromEntries(appliances),
    },
  };
}

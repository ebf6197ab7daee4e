import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CommandContext } from "#cli/command.ts";
import { parsed, readEnsemble, readTextFile } from "#cli/ensemble-file.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { readTar } from "#formats/planetlab-archive.ts";
import { parsePlanetlab } from "#formats/planetlab.ts";
import type { Trace } from "#formats/planetlab.ts";
import type { EnsembleSource, Scenario } from "#formats/scenario-content.ts";
import type { DemandCurve } from "#formats/scenario-demand.ts";
import { unknownNames } from "#formats/scenario-names.ts";
import type { ScenarioWorld } from "#formats/scenario-names.ts";
import { parseScenario, problemsIn } from "#formats/scenario.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import { parseTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { hostRecordsOf } from "#sim/host-records.ts";
import type { Play, PlayCurve, PlayStep } from "#sim/scenario/play.ts";

/** A scenario, and the text it was read from; absent where nobody wrote one. */
export type WrittenScenario = { readonly scenario: Scenario; readonly text?: string };

/** The scenario a file describes. Throws `bad_input` with all problems. */
export async function readScenario(file: string, context: CommandContext): Promise<WrittenScenario> {
  const text = await readTextFile(file, context);
  return { scenario: parsed(file, parseScenario(text, { file: placed(file) })), text };
}

/** How problems name it. */
const placed = (file: string): string => (file === "-" ? "stdin.yaml" : file);

/**
 * A scenario with all files it names, which are looked for beside it. `start`: a running cloud to begin from instead of
 * the scenario's own. Throws `bad_input` with all problems, also where it names what that cloud does not have.
 */
export async function readPlay(
  { scenario, text }: WrittenScenario,
  file: string,
  start: CloudSnapshot | undefined,
  context: CommandContext,
): Promise<Play> {
  const beside = (path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));
  const known = new Map<string, Promise<Ensemble>>();
  const ensembleOf = (source: EnsembleSource): Promise<Ensemble> => {
    if (source.kind === "inline") return Promise.resolve(source.ensemble);
    const path = beside(source.file);
    const ensemble = known.get(path) ?? readEnsemble(path, context);
    known.set(path, ensemble);
    return ensemble;
  };
  const { name, durationMs, seed, policy } = scenario;
  const steps: PlayStep[] = [];
  for (const step of scenario.steps)
    steps.push(step.kind === "up" ? { ...step, ensemble: await ensembleOf(step.ensemble) } : step);
  const load = [];
  for (const one of scenario.load) load.push({ ...one, ensemble: await ensembleOf(one.ensemble) });
  const demand = [];
  for (const { of, curve } of scenario.demand) demand.push({ of, curve: await curveOf(curve, beside) });
  const cloud = await cloudOf(scenario, beside, start, context);
  const play: Play = { name, durationMs, seed, policy, steps, load, demand, ...cloud };
  const findings = unknownNames(scenario, worldOf(play));
  if (findings.length === 0) return play;
  const problems = problemsIn(text ?? "", { file: placed(file) }, findings);
  return parsed(file, { ok: false, problems });
}

const worldOf = ({ topology, snapshot, steps, load }: Play): ScenarioWorld => ({
  hosts: (snapshot?.hosts ?? hostRecordsOf(topology)).map((host) => host.id),
  ensembles: [
    ...(snapshot?.ensembles ?? []).map((record) => record.ensemble),
    ...steps.flatMap((step) => (step.kind === "up" ? [step.ensemble] : [])),
  ],
  arriving: load.map((one) => one.ensemble),
});

async function cloudOf(
  { cloud }: Scenario,
  beside: (path: string) => string,
  start: CloudSnapshot | undefined,
  context: CommandContext,
): Promise<{ topology: Topology; snapshot?: CloudSnapshot }> {
  if (start !== undefined) return { topology: start.topology, snapshot: start };
  if (cloud.kind === "topology") return { topology: cloud.topology };
  const path = beside(cloud.file);
  if (cloud.kind === "snapshot-file") {
    const snapshot = await readSnapshot(path, context);
    return { topology: snapshot.topology, snapshot };
  }
  return { topology: parsed(path, parseTopology(await readTextFile(path, context), { file: path })) };
}

/** Throws `bad_input` with all problems. */
export async function readSnapshot(file: string, context: CommandContext): Promise<CloudSnapshot> {
  return snapshotOf(await readTextFile(file, context), file);
}

export function snapshotOf(text: string, file: string): CloudSnapshot {
  // The API, which compiles only while both types are the same, wrote it.
  return parsed<unknown>(file, parseSnapshot(text, file)) as CloudSnapshot;
}

async function curveOf(curve: DemandCurve, beside: (path: string) => string): Promise<PlayCurve> {
  if (curve.kind !== "trace") return curve;
  const { from, ...rest } = curve;
  return { ...rest, traces: await readTraces(beside(from)) };
}

/**
 * PlanetLab traces in the order of their names: of one file, of a folder, or of a .tar.gz as published. Read-me files
 * and hidden ones are left out.
 */
export async function readTraces(path: string): Promise<Trace[]> {
  const files = await traceFiles(path).catch((cause: unknown) => {
    throw new ConsortError("bad_input", `Cannot read traces from ${path}: ${messageOf(cause)}`, { cause });
  });
  const traces = files
    .filter(({ name }) => !/^(?:\.|readme)/i.test(name.slice(name.lastIndexOf("/") + 1)))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, text }) => parsed(name, parsePlanetlab(text, name)));
  if (traces.length === 0)
    throw new ConsortError("bad_input", `Cannot read traces from ${path}: it has none`);
  return traces;
}

async function traceFiles(path: string): Promise<{ name: string; text: string }[]> {
  if ((await stat(path)).isDirectory()) {
    const names = await readdir(path, { withFileTypes: true });
    const files = names.filter((entry) => entry.isFile()).map((entry) => join(path, entry.name));
    return Promise.all(files.map(async (name) => ({ name, text: await readFile(name, "utf8") })));
  }
  if (!/\.(?:tar|tgz|tar\.gz)$/.test(path)) return [{ name: path, text: await readFile(path, "utf8") }];
  const bytes = await readFile(path);
  const archive = path.endsWith(".tar") ? bytes : gunzipSync(bytes);
  return readTar(archive).map((file) => ({
    name: file.path,
    text: new TextDecoder().decode(file.content),
  }));
}

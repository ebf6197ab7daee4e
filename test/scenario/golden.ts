import { messageOf } from "#base/errors.ts";
import { formatDuration, millis } from "#base/units.ts";
import { keys } from "#cluster/records.ts";
import type { ClusterService } from "#cluster/service.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Parsed } from "#formats/problem.ts";
import { hostVerbs } from "#formats/scenario-content.ts";
import type { HostVerb, Scenario, ScenarioStep } from "#formats/scenario-content.ts";
import { parseScenario } from "#formats/scenario.ts";
import { parseDuration } from "#formats/units.ts";
import type { Event } from "#protocol/http/status.ts";
import { Ledger } from "#sim/checks/ledger.ts";
import { Watch } from "#sim/checks/watch.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import { wallOriginMs } from "#sim/kernel/place-clock.ts";
import { managerWith } from "#sim/scenario/run.ts";
import { ScenarioUser } from "#sim/scenario/user.ts";

/**
 * Golden scenarios: what was done, line by line, with what came of it, recorded and replayed.
 *
 *   # a remark
 *   COMMAND                      cloud, up, down NAME, drain HOST, …, fault, run TIME, where; of one machine:
 *                                migrate, suspend-to-disk, resume ENSEMBLE APPLIANCE [HOST]
 *   input, where it takes some   YAML, as in scenario files
 *   ----
 *   what came of it, up to the next empty line
 */
export type Block = {
  readonly before: readonly string[];
  readonly input: readonly string[];
  readonly recorded: string;
};

const rule = "----";

export function readBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let before: string[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    if (line === "" || line.startsWith("#")) {
      before.push(line);
      continue;
    }
    const end = lines.indexOf(rule, at);
    if (end < 0) throw new Error(`line ${at + 1}: no ${rule} after "${line}"`);
    const empty = lines.indexOf("", end);
    const stop = empty < 0 ? lines.length : empty;
    blocks.push({ before, input: lines.slice(at, end), recorded: lines.slice(end + 1, stop).join("\n") });
    before = [];
    at = stop - 1;
  }
  return blocks;
}

export const writeBlock = ({ before, input }: Block, outcome: string): string =>
  [...before, ...input, rule, ...(outcome === "" ? [] : [outcome])].join("\n");

/** Steps on the way, and what depends on the pauses lines make: `where` shows what they came to. */
const untold = new Set([
  "appliance.backoff",
  "appliance.created",
  "appliance.fenced",
  "appliance.starting",
  "appliance.stopped",
  "appliance.stopping",
  "checkpoint.taken",
  "cluster.started",
  "host.connected",
  "host.disconnected",
]);
type Subject = { readonly ensemble: string; readonly appliance: string; readonly to: string | undefined };

/** What is done with one machine: VERB ENSEMBLE APPLIANCE [HOST] */
const moves = new Map<
  string,
  (service: ClusterService, subject: Subject, signal: AbortSignal) => Promise<unknown>
>([
  [
    "migrate",
    (service, { ensemble, appliance, to }, signal) =>
      service.migrate(ensemble, { appliances: [appliance], ...(to === undefined ? {} : { to }) }, signal),
  ],
  [
    "suspend-to-disk",
    (service, { ensemble, appliance }, signal) => service.suspendToDisk(ensemble, [appliance], signal),
  ],
  [
    "resume",
    (service, { ensemble, appliance, to }, signal) =>
      to === undefined
        ? service.resume(ensemble, [appliance], signal)
        : service.resumeOn(ensemble, to, [appliance], signal),
  ],
]);

/** Later than any scenario goes on. */
const foreverMs = 1e9;

/** Plays one file, from its first block on. */
export class GoldenPlay {
  #cloud: SimulatedCloud | undefined;
  #user: ScenarioUser | undefined;
  #topology: Extract<Scenario["cloud"], { kind: "topology" }>["topology"] | undefined;
  #watch: Watch | undefined;
  #cursor = 0;
  #told = 0;

  /** What came of a block, for people. */
  async play({ input }: Block): Promise<string> {
    const [command = "", ...rest] = input;
    const [word = "", subject = ""] = command.split(" ");
    const body = rest.join("\n");
    if (word === "cloud") return this.#begin(body);
    if (word === "run") return this.#run(subject);
    if (word === "where") return this.#where();
    const move = moves.get(word);
    if (move !== undefined) {
      const [, ensemble = "", appliance = "", to] = command.split(" ");
      this.#user?.ask(word, ensemble, (service, signal) =>
        move(service, { ensemble, appliance, to }, signal),
      );
    }
    if (move !== undefined) return this.#settle();
    for (const step of stepsFrom(word, subject, body)) this.#take(step);
    return this.#settle();
  }

  async #settle(): Promise<string> {
    await this.#running().runUntil(this.#running().nowMs + 1);
    return "";
  }

  #running(): SimulatedCloud {
    if (this.#cloud === undefined) throw new Error("a scenario begins with: cloud");
    return this.#cloud;
  }

  async #begin(body: string): Promise<string> {
    const scenario = scenarioOf(body);
    const { cloud, seed } = scenario;
    if (cloud.kind !== "topology") throw new Error("a golden scenario writes its cloud down");
    const { topology } = cloud;
    this.#topology = topology;
    this.#cloud = new SimulatedCloud({
      topology,
      seed,
      settings: { clusterManager: managerWith(scenario) },
    });
    const ledger = new Ledger();
    this.#user = new ScenarioUser(this.#cloud, ledger);
    this.#watch = new Watch(this.#cloud, { topology, ledger, calmSinceMs: foreverMs });
    this.#cloud.start();
    await this.#cloud.runUntil(1000);
    this.#newEvents();
    return topology.hosts.map((host) => `${host.id} ${host.cpuMilli / 10}%`).join(", ");
  }

  async #run(text: string): Promise<string> {
    const duration = parseDuration(text);
    if (!duration.ok) throw new Error(`"run ${text}": wanted a time`);
    const cloud = this.#running();
    await cloud.runUntil(cloud.nowMs + duration.value);
    this.#watch?.checkOverdue();
    const asked = (this.#user?.asked ?? []).slice(this.#told);
    this.#told += asked.length;
    const answers = asked
      .filter(({ state }) => state !== "answered")
      .map(
        ({ verb, subject, state, message }) =>
          `${verb} ${subject}: ${state}${message === undefined ? "" : `: ${message}`}`,
      );
    const events = inOrder(this.#newEvents().filter(({ kind }) => !untold.has(kind))).map(
      (event) => `${seconds(event.atMs)} ${event.kind} ${subjectOf(event)}${withoutNames(event.message)}`,
    );
    const lines = [...answers, ...events];
    return lines.length === 0 ? "nothing happened" : lines.join("\n");
  }

  #newEvents(): Event[] {
    const events = this.#running()
      .stored(keys.prefix.event)
      .map(({ value }) => value as Event)
      .filter(({ cursor }) => cursor > this.#cursor);
    this.#cursor = events.at(-1)?.cursor ?? this.#cursor;
    return events;
  }

  /** What is on every machine, whatever anybody believes. */
  #where(): string {
    const cloud = this.#running();
    return (this.#topology?.hosts ?? [])
      .map(({ id }) => {
        const machine = cloud.machines.get(id);
        if (machine?.powered !== true) return `${id}: no power`;
        const here = [...machine.appliances]
          .map((one) => `${one.id} ${one.state}${one.beganFrom === undefined ? "" : " from a checkpoint"}`)
          .sort();
        return `${id}: ${here.length === 0 ? "nothing" : here.join(", ")}`;
      })
      .join("\n");
  }

  #take(step: ScenarioStep): void {
    const cloud = this.#running();
    const user = this.#user;
    switch (step.kind) {
      case "fault":
        return cloud.inject({ ...step.fault, atMs: cloud.nowMs + 1 });
      case "up":
        if (step.ensemble.kind === "file") throw new Error("a golden scenario writes its ensembles down");
        return user?.up(step.ensemble.ensemble);
      case "down":
        return user?.down(step.ensemble);
      case "cancel":
        return user?.cancel(step.subject);
      case "host":
        return user?.host(step.verb, step.host);
      default:
        throw new Error(`${step.kind} is for scenario files`);
    }
  }
}

const subjectOf = ({ kind, subject }: Event): string => (kind.startsWith("operation.") ? "" : `${subject}: `);
/** Checkpoints are named by chance. */
const withoutNames = (message: string): string => message.replaceAll(/\bs-[0-9a-f]+/g, "a checkpoint");
/** To the nearest second: what takes a little longer than before is no other behaviour. */
const nearest = (atMs: number): number => Math.round((atMs - wallOriginMs) / 1000) * 1000;
const seconds = (atMs: number): string => formatDuration(millis(nearest(atMs)));

/** What happens at one moment: causes first. */
const ranks = ["ensemble.", "host.", "appliance.moved", "appliance.stranded", "appliance.", "operation."];
const rankOf = ({ kind }: Event): number => ranks.findIndex((start) => kind.startsWith(start));

/** Of one moment by subject; only moves stay in the order in which they were decided. */
function inOrder(events: readonly Event[]): Event[] {
  return events.toSorted(
    (a, b) =>
      nearest(a.atMs) - nearest(b.atMs) ||
      rankOf(a) - rankOf(b) ||
      (a.kind === "appliance.moved" ? 0 : a.subject.localeCompare(b.subject, "en")),
  );
}

/** One command as the step of a scenario file it stands for. */
function stepsFrom(word: string, subject: string, body: string): readonly ScenarioStep[] {
  const isHostVerb = (verb: string): verb is HostVerb => (hostVerbs as readonly string[]).includes(verb);
  const indented = body.replaceAll(/^/gm, "      ");
  const step =
    word === "up"
      ? `up:\n${indented}`
      : word === "fault"
        ? body.trim()
        : word === "down" || word === "cancel" || isHostVerb(word)
          ? `${word}: ${subject}`
          : undefined;
  if (step === undefined) throw new Error(`no command "${word}"`);
  const steps = `steps:\n  - at: 0s\n${step.replaceAll(/^(?! {6})/gm, "    ")}\n`;
  return parsed(parseScenario(`scenario: golden\nduration: 1h\n${steps}`, { file: "golden.yaml" })).steps;
}

const scenarioOf = (body: string): Scenario =>
  parsed(parseScenario(`scenario: golden\nduration: 1h\n${body}\n`, { file: "golden.yaml" }));

function parsed(result: Parsed<Scenario>): Scenario {
  if (result.ok) return result.value;
  throw new Error(result.problems.map(formatProblem).join("\n"));
}

/** The whole file as it would be recorded now. */
export async function replay(text: string): Promise<string> {
  const play = new GoldenPlay();
  const written: string[] = [];
  for (const block of readBlocks(text)) {
    const outcome = await play.play(block).catch((cause: unknown) => `ended: ${messageOf(cause)}`);
    written.push(writeBlock(block, outcome));
  }
  return `${written.join("\n")}\n`;
}

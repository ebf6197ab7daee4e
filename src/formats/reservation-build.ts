import { micros, milliCpu } from "#base/units.ts";
import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { ApplianceDocument, EnsembleDocument } from "#formats/ensemble-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { given, read, wordsOf } from "#formats/quantities.ts";
import type { TeamDocument, TrafficDocument } from "#formats/reservation-schema.ts";
import {
  parseBandwidth,
  parseBytes,
  parseCpuReservation,
  parseCpuShare,
  parseDurationUs,
} from "#formats/units.ts";
import type { Adjustment, CpuRequest, ServiceClass, TeamSpec, TrafficSpec } from "#model/ensemble.ts";

/** What was asked for of CPU time, in any of its forms. */
export function cpuOf(
  cpu: ApplianceDocument["cpu"],
  path: Path,
  findings: Finding[],
): CpuRequest | undefined {
  if (cpu === undefined) return undefined;
  if (typeof cpu !== "object") {
    const text = String(cpu);
    if (text.includes("/")) return { kind: "reservation", ...read(parseCpuReservation, text) };
    const shareMilli = read(parseCpuShare, text);
    return { kind: "share", shareMilli, limitMilli: shareMilli };
  }
  if (cpu.period !== undefined) {
    const periodUs = read(parseDurationUs, cpu.period);
    const ofPeriod = cpu.share === undefined ? 0 : (read(parseCpuShare, cpu.share) * periodUs) / 1000;
    const executionUs =
      cpu.execution === undefined ? micros(Math.round(ofPeriod)) : read(parseDurationUs, cpu.execution);
    return { kind: "reservation", periodUs, executionUs };
  }
  const shareMilli = read(parseCpuShare, cpu.share ?? "");
  const limitMilli = cpu.limit === undefined ? shareMilli : read(parseCpuShare, cpu.limit);
  if (limitMilli < shareMilli) {
    findings.push({
      path: [...path, "limit"],
      message: `the limit ${cpu.limit} is below the share ${cpu.share}`,
    });
  }
  return { kind: "share", shareMilli, limitMilli: milliCpu(Math.max(shareMilli, limitMilli)) };
}

/** Teams as they are declared, inner ones within. */
export function teamsOf(
  teams: Readonly<Record<string, TeamDocument>>,
  path: Path,
  findings: Finding[],
): TeamSpec[] {
  return Object.entries(teams).map(([name, team]): TeamSpec => {
    const at: Path = [...path, name];
    const cpu = cpuOf(team.cpu, [...at, "cpu"], findings);
    if (cpu?.kind === "share") {
      findings.push({
        path: [...at, "cpu"],
        message: "a team's part is CPU time in every period",
        suggestion: "write 8ms/40ms or {period: 40ms, share: 20%}",
      });
    }
    return {
      name,
      ...(cpu?.kind === "reservation" ? { cpu } : {}),
      policy: team.policy ?? ensembleDefaults.teamPolicy,
      jobs: jobsOf(team, at, findings),
      teams: teamsOf(team.teams ?? {}, [...at, "teams"], findings),
    };
  });
}

function jobsOf(team: TeamDocument, path: Path, findings: Finding[]): (readonly string[])[] {
  const { command, commands } = team;
  if (command !== undefined && commands !== undefined) {
    findings.push({
      path,
      message: "both command and commands are given",
      suggestion: "write commands: [[a], [b]]",
    });
  }
  const written = [
    ...(command === undefined ? [] : [{ command, at: [...path, "command"] as Path }]),
    ...(commands ?? []).map((one, index) => ({ command: one, at: [...path, "commands", index] as Path })),
  ];
  return written.map((one) => wordsOf(one.command, one.at, findings));
}

export function trafficOf(traffic: TrafficDocument): TrafficSpec {
  const rate = (text: string | number | undefined): TrafficSpec["outBps"] =>
    text === undefined ? undefined : read(parseBandwidth, text);
  return {
    serviceClass: traffic.class ?? ensembleDefaults.serviceClass,
    ...given("outBps", rate(traffic.out)),
    ...given("inBps", rate(traffic.in)),
    ...given("outCeilingBps", rate(traffic.outCeiling)),
    ...given("inCeilingBps", rate(traffic.inCeiling)),
  };
}

export function classesOf(classes: NonNullable<EnsembleDocument["classes"]>): ServiceClass[] {
  return Object.entries(classes).map(([name, one]) => ({
    name,
    priority: typeof one === "number" ? one : one.priority,
  }));
}

export function adjustmentsOf(
  adjustments: NonNullable<EnsembleDocument["adjustments"]>,
  findings: Finding[],
): Adjustment[] {
  return Object.entries(adjustments).map(([appliance, { cpu, memory, traffic, suspended }]) => ({
    appliance,
    ...given("cpu", cpuOf(cpu, ["adjustments", appliance, "cpu"], findings)),
    ...given("memoryBytes", memory === undefined ? undefined : read(parseBytes, memory)),
    ...given("traffic", traffic === undefined ? undefined : trafficOf(traffic)),
    ...given("suspended", suspended),
  }));
}

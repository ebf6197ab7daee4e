import { micros, milliCpu } from "#base/units.ts";
import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { ApplianceDocument, EnsembleDocument } from "#formats/ensemble-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { given, read, wordsOf } from "#formats/quantities.ts";
import type { AdjustmentDocument, TeamDocument, TrafficDocument } from "#formats/reservation-schema.ts";
import {
  parseBandwidth,
  parseBytes,
  parseCpuReservation,
  parseCpuShare,
  parseDurationUs,
} from "#formats/units.ts";
import { diskOf } from "#formats/vm-build.ts";
import type {
  Adjustment,
  CpuRequest,
  CpuReservation,
  ServiceClass,
  TeamAdjustment,
  TeamSpec,
  TrafficSpec,
} from "#model/ensemble.ts";

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
    return {
      name,
      ...given("cpu", partOf(team.cpu, [...at, "cpu"], findings)),
      policy: team.policy ?? ensembleDefaults.teamPolicy,
      jobs: jobsOf(team, at, findings),
      teams: teamsOf(team.teams ?? {}, [...at, "teams"], findings),
    };
  });
}

/** Of a team. */
function partOf(document: TeamDocument["cpu"], path: Path, findings: Finding[]): CpuReservation | undefined {
  const cpu = cpuOf(document, path, findings);
  if (cpu?.kind !== "share") return cpu;
  const message = "a team's part is CPU time in every period";
  findings.push({ path, message, suggestion: "write 8ms/40ms or {period: 40ms, share: 20%}" });
  return undefined;
}

/** What teams are to have, by their paths. */
export function teamSizesOf(
  teams: NonNullable<AdjustmentDocument["teams"]>,
  path: Path,
  findings: Finding[],
): TeamAdjustment[] {
  return Object.entries(teams).flatMap(([team, document]): TeamAdjustment[] => {
    const cpu = partOf(document, [...path, team], findings);
    return cpu === undefined ? [] : [{ path: team, cpu }];
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
  return Object.entries(adjustments).map(([appliance, document]) => {
    const { cpu, memory, vcpus, disk, traffic, suspended, teams } = document;
    const path: Path = ["adjustments", appliance];
    return {
      appliance,
      ...given("cpu", cpuOf(cpu, [...path, "cpu"], findings)),
      ...given("memoryBytes", memory === undefined ? undefined : read(parseBytes, memory)),
      ...given("vcpus", vcpus),
      ...given("disk", disk === undefined ? undefined : diskOf(disk)),
      ...given("traffic", traffic === undefined ? undefined : trafficOf(traffic)),
      ...given("suspended", suspended),
      ...given("teams", teams === undefined ? undefined : teamSizesOf(teams, [...path, "teams"], findings)),
    };
  });
}

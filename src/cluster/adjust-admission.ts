import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { formatCpu, formatDuration, micros, milliCpu, millis } from "#base/units.ts";
import { mappingProblem, placementsOf, violationSubject } from "#cluster/admission.ts";
import type { AdmissionFacts } from "#cluster/admission.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { CpuReservation, Ensemble } from "#model/ensemble.ts";
import { cpuDemandMilli } from "#planner/demand.ts";
import type { Violation } from "#planner/mapping.ts";
import { findViolations } from "#planner/violations.ts";

/**
 * Throws `unsatisfiable` unless hosts and links can keep what `adjusted` asks for with everything where it is: nothing
 * is moved for a new size. What is broken already and does not get worse is no reason.
 */
export function checkFits(
  record: EnsembleRecord,
  adjusted: Ensemble,
  verb: string,
  facts: AdmissionFacts,
): void {
  const before = new Map(violationsOf(record, record.ensemble, facts).map((one) => [subjectOf(one), one]));
  const worse = violationsOf(record, adjusted, facts).find((one) => {
    const was = before.get(subjectOf(one));
    return was === undefined || excessOf(was) < excessOf(one);
  });
  if (worse === undefined) return;
  const most = mostOf(record, adjusted, worse);
  const remedy = `${most ?? `${worse.remedy.charAt(0).toLowerCase()}${worse.remedy.slice(1)}`}, or bring up a file with the new size, which may move it to another host`;
  throw new ConsortError(
    "unsatisfiable",
    `Cannot ${verb} ${record.ensemble.name}: ${bare(worse.message)}; ${remedy}`,
    { details: { refusals: [{ subject: violationSubject(worse), message: worse.message, remedy }] } },
  );
}

/** The most that would fit where one appliance alone asks a host for more CPU; undefined: there is no such figure. */
function mostOf(record: EnsembleRecord, adjusted: Ensemble, violation: Violation): string | undefined {
  if (violation.kind !== "host-cpu") return undefined;
  const before = new Map(appliancesOf(record.ensemble).map(({ id, spec }) => [id, spec]));
  const grown = appliancesOf(adjusted).filter(({ id, spec }) => {
    const was = before.get(id);
    return (
      record.placements[id] === violation.host &&
      (was === undefined || cpuDemandMilli(spec) > cpuDemandMilli(was))
    );
  });
  const [only, second] = grown;
  if (only?.spec.cpu === undefined || second !== undefined) return undefined;
  const leftMilli = cpuDemandMilli(only.spec) - (violation.wantedMilli - violation.capacityMilli);
  if (leftMilli <= 0) return undefined;
  const { cpu } = only.spec;
  const fits =
    cpu.kind === "share"
      ? formatCpu(milliCpu(leftMilli))
      : durationsText({ ...cpu, executionUs: micros(Math.floor((leftMilli * cpu.periodUs) / 1000)) });
  return `at most ${fits} for ${only.id} would fit there`;
}

const durationsText = ({ executionUs, periodUs }: CpuReservation): string =>
  [executionUs, periodUs].map((us) => formatDuration(millis(us / 1000))).join("/");

function violationsOf(record: EnsembleRecord, ensemble: Ensemble, facts: AdmissionFacts): Violation[] {
  // A host that is silent now is no reason: it gets its plan when it is back.
  const problem = { ...mappingProblem(ensemble, facts), unusableHosts: new Set<HostId>() };
  return findViolations(problem, placementsOf(record), record.paths).filter(
    ({ kind }) => kind !== "no-host" && kind !== "no-driver",
  );
}

function subjectOf(violation: Violation): string {
  switch (violation.kind) {
    case "host-cpu":
    case "host-memory":
    case "host-schedule":
      return `${violation.kind} ${violation.host}`;
    case "link-bandwidth":
      return `${violation.kind} ${violation.physicalLink}`;
    default:
      return `${violation.kind} ${violation.message}`;
  }
}

function excessOf(violation: Violation): number {
  switch (violation.kind) {
    case "host-cpu":
      return violation.wantedMilli;
    case "host-memory":
      return violation.wantedBytes;
    case "link-bandwidth":
      return violation.wantedBps;
    default:
      return 0;
  }
}

/** "Cannot reserve CPU on a1: it has …" within another sentence. */
const bare = (message: string): string => message.replace(/^Cannot /, "cannot ");

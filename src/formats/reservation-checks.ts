import { formatLimits } from "#formats/limits.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { tableFindings } from "#formats/table-checks.ts";
import { durationUsText } from "#formats/units.ts";
import type { ApplianceSpec, CpuReservation, TeamSpec } from "#model/ensemble.ts";

/** What an appliance's reservation, its enforcement and its teams must be to each other. */
export function reservationFindings(spec: ApplianceSpec, path: Path = ["appliances", spec.name]): Finding[] {
  const findings = formFindings(spec, path);
  return findings.length > 0 ? findings : tableFindings(spec, path);
}

function formFindings(spec: ApplianceSpec, path: Path): Finding[] {
  const findings: Finding[] = [];
  const reserved = spec.cpu?.kind === "reservation" ? spec.cpu : undefined;
  const remedy = "write cpu: {period: 40ms, execution: 16ms}";
  if (spec.enforcement !== undefined && spec.enforcement !== "auto" && reserved === undefined) {
    const message = "how a reservation is kept is said, but none is asked for";
    findings.push({ path: [...path, "enforcement"], message, suggestion: remedy });
  }
  const single = spec.enforcement === "dispatch-table" || spec.enforcement === "deadline";
  if (single && reserved !== undefined && reserved.executionUs > reserved.periodUs) {
    const message = `${spec.enforcement} keeps at most one processor's worth, ${shown(reserved)} is more`;
    const suggestion = "write enforcement: bandwidth, or an execution time of at most the period";
    findings.push({ path: [...path, "cpu"], message, suggestion });
  }
  if (spec.teams === undefined) return findings;
  const at: Path = [...path, "teams"];
  if (spec.kind === "vm")
    findings.push({ path: at, message: "a vm has no teams", suggestion: "write kind: task" });
  const count = countOf(spec.teams);
  if (count > formatLimits.teams) {
    findings.push({ path: at, message: `${count} teams, at most ${formatLimits.teams} are allowed` });
  }
  if (depthOf(spec.teams) > formatLimits.teamDepth) {
    findings.push({ path: at, message: `teams in teams at most ${formatLimits.teamDepth} deep are allowed` });
  }
  const parts = teamFindings(spec.teams, reserved, spec.name, at);
  const bare = reserved === undefined && parts.length === 0 && spec.teams.length > 0;
  return [...findings, ...parts, ...(bare ? [bareFinding(spec, at)] : [])];
}

/** Of teams whose appliance has no CPU time per period, of which they could be parts. */
function bareFinding({ cpu, name }: ApplianceSpec, path: Path): Finding {
  const message = `"${name}" has ${cpu === undefined ? "no CPU time per period" : "a share of CPU without a period"} that its teams could have parts of`;
  return { path, message, suggestion: "write cpu: 16ms/40ms there" };
}

/** The parts must be no more than the whole, at every level. */
function teamFindings(
  teams: readonly TeamSpec[],
  whole: CpuReservation | undefined,
  owner: string,
  path: Path,
): Finding[] {
  const parts = teams.flatMap(({ cpu }) => (cpu === undefined ? [] : [cpu]));
  const findings: Finding[] = [];
  const [first] = parts;
  if (first !== undefined && whole === undefined) {
    const message = `its teams are to have parts of a reservation that "${owner}" does not have`;
    findings.push({ path, message, suggestion: `write cpu: ${shown(first)} at ${owner}` });
  }
  if (whole !== undefined && sumOf(parts) > sumOf([whole]) * (1 + 1e-9)) {
    const message = `its teams reserve ${percent(sumOf(parts))} of a processor, "${owner}" only ${percent(sumOf([whole]))} (${shown(whole)})`;
    const least = Math.ceil(sumOf(parts) * whole.periodUs);
    const enough = shown({ ...whole, executionUs: least as CpuReservation["executionUs"] });
    findings.push({ path, message, suggestion: `give ${owner} ${enough}, or its teams less` });
  }
  for (const team of teams) {
    findings.push(...teamFindings(team.teams, team.cpu, team.name, [...path, team.name, "teams"]));
  }
  return findings;
}

const sumOf = (parts: readonly CpuReservation[]): number =>
  parts.reduce((sum, { executionUs, periodUs }) => sum + executionUs / periodUs, 0);

const percent = (part: number): string => `${String(Math.round(part * 1000) / 10)}%`;

const shown = ({ executionUs, periodUs }: CpuReservation): string =>
  `${durationUsText(executionUs)}/${durationUsText(periodUs)}`;

const countOf = (teams: readonly TeamSpec[]): number =>
  teams.reduce((sum, team) => sum + 1 + countOf(team.teams), 0);

const depthOf = (teams: readonly TeamSpec[]): number =>
  teams.reduce((deepest, team) => Math.max(deepest, 1 + depthOf(team.teams)), 0);

import { bitsPerSecond, bytes } from "#base/units.ts";
import { bandwidth, size } from "#cli/quantities.ts";
import { formatFacts } from "#cli/table.ts";
import type { Estimate } from "#control/profile/confidence.ts";
import type { Profile } from "#control/profile/profile.ts";
import type { Proposal } from "#control/profile/proposal.ts";
import { bandwidthText, bytesText, durationUsText } from "#formats/units.ts";
import { yamlText } from "#formats/yaml-text.ts";

export type ProfileReport = {
  /** What was profiled, as typed. */
  readonly subject: string;
  /** A run of a program, or a look at an appliance. */
  readonly each: "run" | "look";
  /** It ended before all, as one more would have told nothing new. */
  readonly tight: boolean;
  readonly coveredPart: number;
  readonly profile: Profile;
  readonly proposal: Proposal;
  /** To paste into an ensemble file, below `appliances`. */
  readonly yaml: string;
};

const digits = (value: number): string => String(Number(value.toPrecision(4)));
const percent = (value: number): string => `${Number((value * 100).toFixed(2))}%`;

const known = ({ mean, halfWidth }: Estimate, show: (value: number) => string): string =>
  Number.isFinite(halfWidth) ? `${show(mean)} ± ${show(halfWidth)}` : show(mean);

const periodWords = { given: "as told", rhythm: "its own rhythm", reservation: "as reserved" } as const;

/** How well it is known is told as `--within` asks for it: as a part of itself. */
function utilisationText({ mean, halfWidth }: Estimate): string {
  const text = `${percent(mean)} of a processor`;
  return mean > 0 && Number.isFinite(halfWidth) ? `${text}, ±${percent(halfWidth / mean)} of that` : text;
}

/** What was run, and where. */
export type Program = { readonly command: readonly string[]; readonly directory: string };

/** The appliance's declaration, as far as the profile tells it. */
export function proposalYaml(name: string, program: Program | undefined, proposal: Proposal): string {
  const { cpu, memoryBytes, outBps, inBps } = proposal;
  const traffic = {
    ...(outBps === undefined ? {} : { out: bandwidthText(outBps) }),
    ...(inBps === undefined ? {} : { in: bandwidthText(inBps) }),
  };
  return yamlText({
    [name]: {
      ...(program === undefined ? {} : { command: program.command }),
      ...(program === undefined || program.directory === "/" ? {} : { directory: program.directory }),
      ...(cpu === undefined
        ? {}
        : { cpu: `${durationUsText(cpu.executionUs)}/${durationUsText(cpu.periodUs)}` }),
      ...(memoryBytes === undefined ? {} : { memory: bytesText(memoryBytes) }),
      ...(Object.keys(traffic).length === 0 ? {} : { traffic }),
    },
  });
}

export function formatProfile(report: ProfileReport): string {
  const { profile, proposal, coveredPart, each } = report;
  const { period, demand, outBps, inBps } = profile;
  const facts = formatFacts([
    [`${each}s`, `${profile.runs}${report.tight ? ", then one more would tell nothing new" : ""}`],
    ["CPU", utilisationText(profile.utilisation)],
    each === "run"
      ? ["a run", `${digits(profile.cpuMs.mean)} ms of CPU time in ${digits(profile.wallMs.mean)} ms`]
      : ["", undefined],
    ["period", period && `${digits(period.ms)} ms, ${periodWords[period.from]}`],
    [
      "per period",
      demand &&
        `${digits(demand.meanMs)} ms; ${digits(demand.coveringMs)} ms cover ${percent(coveredPart)} of ${demand.periods}; at most ${digits(demand.mostMs)} ms`,
    ],
    ["memory", size(bytes(profile.memoryPeakBytes))],
    ["sends", outBps && known(outBps, (rate) => bandwidth(bitsPerSecond(rate)))],
    ["receives", inBps && known(inBps, (rate) => bandwidth(bitsPerSecond(rate)))],
  ]);
  return [facts.trimEnd(), ...proposal.remarks, "", "appliances:", indented(report.yaml)].join("\n");
}

const indented = (text: string): string =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");

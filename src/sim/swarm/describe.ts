import { actionText } from "#formats/strategy-text.ts";
import { linksOf } from "#model/appliances.ts";
import type { Fault } from "#sim/fault.ts";
import type { SeedOutcome } from "#sim/swarm/run-seed.ts";
import type { Step, SwarmCase } from "#sim/swarm/swarm-case.ts";

/** The one line that runs a seed again. */
export const reproduceLine = (seed: number): string => `consort simulate --swarm --seed ${seed}`;

/** A failed seed for people: what broke, how to see it again, and the little that is needed for it. */
export function describeFailure(outcome: SeedOutcome, traceLines = 20): string {
  const { violation, seed } = outcome;
  if (violation === undefined) return `seed ${seed}: every invariant held`;
  return [
    `seed ${seed} breaks ${violation.invariant} after ${seconds(violation.atMs)}: ${violation.message}`,
    `  again: ${reproduceLine(seed)}`,
    ...describeCase(outcome.case).map((line) => `  ${line}`),
    `  the last lines of the trace:`,
    ...outcome.trace.slice(-traceLines).map((line) => `    ${line}`),
  ].join("\n");
}

export function describeCase({ topology, steps, faults, policy }: SwarmCase): string[] {
  const hosts = topology.hosts.map(
    (host) => `${host.id} (${host.cpuMilli}m, ${host.memoryBytes / 2 ** 20} MiB)`,
  );
  return [
    `hosts: ${hosts.join(", ")}`,
    ...(policy === undefined
      ? []
      : [`policy: ${policy.placement}${policy.consolidate ? ", consolidate" : ""}`]),
    steps.length === 0 ? "steps: none" : "steps:",
    ...steps.map((step) => `  ${seconds(step.atMs)}  ${describeStep(step)}`),
    faults.length === 0 ? "faults: none" : "faults:",
    ...faults.map((fault) => `  ${seconds(fault.atMs)}  ${describeFault(fault)}`),
  ];
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)} s`;

function describeStep(step: Step): string {
  switch (step.kind) {
    case "up": {
      const { name, appliances } = step.ensemble;
      const parts = appliances.map(
        (one) => `${one.name}${one.replicas > 1 ? `×${one.replicas}` : ""} (${one.onHostLoss})`,
      );
      return `up ${name}: ${parts.join(", ")}; ${linksOf(step.ensemble).length} links`;
    }
    case "down":
    case "cancel":
      return `${step.kind} ${step.name}`;
    case "resize": {
      const sizes = Object.entries(step.sizes).map(([name, size]) => `${name} ${JSON.stringify(size)}`);
      return `resize ${step.name}: ${[...sizes, ...step.moves.map(actionText)].join("; ")}`;
    }
    case "suspend":
    case "resume":
      return `${step.kind} ${step.name}: ${step.appliances.join(", ") || "all"}`;
    case "migrate":
      return `migrate ${step.name}: ${step.appliances.join(", ")}${step.to === undefined ? "" : ` to ${step.to}`}`;
    case "park":
    case "unpark":
    case "checkpoint":
      return `${step.kind} ${step.name}: ${step.appliances.join(", ") || "all"}${describeMore(step)}`;
    case "restore":
      return `restore ${step.name}: ${step.appliance}`;
    case "take-over":
      return `${step.cluster} takes over`;
    default:
      return `${step.kind} ${step.host}`;
  }
}

function describeMore(step: Extract<Step, { kind: "park" | "unpark" | "checkpoint" }>): string {
  if (step.kind === "unpark" && step.to !== undefined) return ` on ${step.to}`;
  return step.kind === "checkpoint" && step.together ? " at one moment" : "";
}

/** Its kind, then its fields as they are written in code. */
export function describeFault(fault: Fault): string {
  const { atMs: _at, kind, ...fields } = fault;
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name} ${typeof value === "number" ? Math.round(value * 100) / 100 : value}`,
  );
  return `${kind}: ${shown.join(", ")}`;
}

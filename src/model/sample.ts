import { ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { ApplianceSpec, Ensemble, LinkSpec } from "#model/ensemble.ts";

/** Small ensembles for tests and generators: everything has a plain default, and a test names only what it is about. */
export function sampleAppliance(name: string, fields: Partial<ApplianceSpec> = {}): ApplianceSpec {
  return {
    name,
    kind: "task",
    replicas: 1,
    command: ["sleep", "infinity"],
    env: {},
    files: [],
    networks: ["lan"],
    restart: { when: "always", backoffMsMin: millis(100), backoffMsMax: millis(10_000) },
    onHostLoss: "elsewhere",
    priority: 5,
    placement: { labels: {} },
    stopGraceMs: millis(1000),
    ...fields,
  };
}

export function sampleLink(from: string, to: string, fields: Partial<LinkSpec> = {}): LinkSpec {
  return { from, to, priority: 4, ...fields };
}

export function sampleEnsemble(name: string, fields: Partial<Omit<Ensemble, "name">> = {}): Ensemble {
  return {
    name: ensembleName(name),
    appliances: [],
    networks: [{ name: "lan" }],
    links: [],
    placement: [],
    ...fields,
  };
}

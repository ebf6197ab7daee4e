import type { Finding, Path } from "#formats/problem.ts";
import type { Scenario, ScenarioStep } from "#formats/scenario-content.ts";
import type { Expectation } from "#formats/scenario-expect.ts";
import type { ScenarioFault } from "#formats/scenario-fault.ts";
import { unknownName } from "#formats/suggestion.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";

/** What a scenario may name: the cloud it is played on, and all that ever runs there. */
export type ScenarioWorld = {
  /** Gateways among them. */
  readonly hosts: readonly string[];
  /** Of the cloud from its beginning, and of every `up`. */
  readonly ensembles: readonly Ensemble[];
  /** Templates: those that arrive are named after them, `job-1`, `job-2`, … */
  readonly arriving: readonly Ensemble[];
};

type Known = {
  readonly host: ReadonlySet<string>;
  readonly process: ReadonlySet<string>;
  readonly place: ReadonlySet<string>;
  readonly ensemble: ReadonlySet<string>;
  readonly "ensemble or host": ReadonlySet<string>;
  /** Ids, ensembles and names of appliances, those of replicas and the one they share. */
  readonly "appliance or ensemble": ReadonlySet<string>;
};
type Named = { readonly what: keyof Known; readonly name: string; readonly path: Path };

/** A scenario has one cluster manager. */
const clusterProcess = "cluster/1";
const storePlace = "store";

/** Names in a scenario's steps and demands that nothing in its world has. */
export function unknownNames(
  { steps, demand }: Pick<Scenario, "steps" | "demand">,
  world: ScenarioWorld,
): readonly Finding[] {
  const known = knownIn(world);
  const plain = demand.flatMap(({ of }, index): Named[] =>
    of.includes("*") ? [] : [{ what: "appliance or ensemble", name: of, path: ["demand", index, "of"] }],
  );
  const findings = [...steps.flatMap(namedBy), ...plain].flatMap(({ what, name, path }) => {
    const finding = unknownName(what, firstArrival(name, world.arriving), known[what], path);
    return finding === undefined ? [] : [{ ...finding, message: `no ${what} "${name}" in this cloud` }];
  });
  // A partition is two cuts, both of one word in the file.
  return [...new Map(findings.map((one) => [`${one.path.join("\0")}\0${one.message}`, one])).values()];
}

function knownIn({ hosts, ensembles, arriving }: ScenarioWorld): Known {
  const all = [
    ...ensembles,
    ...arriving.map((one) => ({ ...one, name: `${one.name}-1` as typeof one.name })),
  ];
  const ensemble = new Set<string>(all.map(({ name }) => name));
  const appliances = all.flatMap((one) =>
    appliancesOf(one).flatMap(({ id, name, spec }) => [id, name, spec.name, `${one.name}/${spec.name}`]),
  );
  return {
    host: new Set(hosts),
    process: new Set([clusterProcess, ...hosts.map((host) => `host/${host}`)]),
    place: new Set([storePlace, ...hosts]),
    ensemble,
    "ensemble or host": new Set([...ensemble, ...hosts]),
    "appliance or ensemble": new Set<string>([...ensemble, ...appliances]),
  };
}

/** How many arrive is left to chance: what is known of the first holds for each. */
function firstArrival(name: string, arriving: readonly Ensemble[]): string {
  const [, template, rest = ""] = /^([^/]+)-[1-9]\d*((?:\/.*)?)$/.exec(name) ?? [];
  return arriving.some((one) => one.name === template) ? `${template}-1${rest}` : name;
}

function namedBy(step: ScenarioStep): readonly Named[] {
  const { path } = step;
  switch (step.kind) {
    case "down":
      return [{ what: "ensemble", name: step.ensemble, path }];
    case "cancel":
      return [{ what: "ensemble or host", name: step.subject, path }];
    case "host":
      return [{ what: "host", name: step.host, path }];
    case "fault":
      return namedByFault(step.fault, path);
    case "expect":
      return namedByExpectation(step.expectation, path);
    case "up":
    case "note":
      return [];
    default:
      return step satisfies never;
  }
}

function namedByFault(fault: ScenarioFault, path: Path): readonly Named[] {
  switch (fault.kind) {
    case "crash":
    case "pause":
      return [{ what: "process", name: fault.process, path }];
    case "crash-at-call":
      return [{ what: "process", name: fault.process, path: [...path, "process"] }];
    case "power-loss":
      return [{ what: "host", name: fault.host, path }];
    case "cut":
      return (["from", "to"] as const)
        .filter((end) => fault[end] !== "*")
        .map((end) =>
          path.at(-1) === "partition"
            ? { what: "host", name: fault[end].replace(/^host\//, ""), path }
            : { what: "process", name: fault[end], path: [...path, end] },
        );
    case "slow-disk":
    case "full-disk":
      return [{ what: "place", name: fault.place, path }];
    case "clock-skew":
      return [{ what: "place", name: fault.place, path: [...path, "place"] }];
    case "noise":
    case "store-down":
      return [];
    default:
      return fault satisfies never;
  }
}

const operationOn: Readonly<Record<string, keyof Known>> = {
  up: "ensemble",
  down: "ensemble",
  drain: "host",
  cordon: "host",
  uncordon: "host",
  forget: "host",
};

function namedByExpectation(expectation: Expectation, path: Path): readonly Named[] {
  switch (expectation.kind) {
    case "placed":
      return [
        { what: "appliance or ensemble", name: expectation.subject, path },
        { what: "host", name: expectation.host, path },
      ];
    case "state":
    case "gone":
    case "cpu":
      return [{ what: "appliance or ensemble", name: expectation.subject, path }];
    case "host":
      return [{ what: "host", name: expectation.host, path }];
    case "operation":
      return [
        { what: operationOn[expectation.operation] ?? "ensemble or host", name: expectation.subject, path },
      ];
    case "count":
    case "recoveries":
      return [];
    default:
      return expectation satisfies never;
  }
}

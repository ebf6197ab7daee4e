import fc from "fast-check";
import { bytes, micros, millis } from "#base/units.ts";
import { parseEnsembleDocument } from "#formats/ensemble.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { name, optional, plainRecord, rate, text, traffic } from "#formats/parts.arbitrary.ts";
import { arbitraryDiskLimits } from "#formats/vm.arbitrary.ts";
import { teamsByPath } from "#model/adjustments.ts";
import { appliancesOf } from "#model/appliances.ts";
import type {
  Adjustment,
  Ensemble,
  MonitorSource,
  MonitorSpec,
  StrategyAction,
  StrategySpec,
  TeamAdjustment,
} from "#model/ensemble.ts";

// How ensembles that the formats accept adapt: classes, monitors, strategies, adjustments.

/** A number as programs print it, in any of its forms. */
const threshold = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }),
  fc.double({ noDefaultInfinity: true, noNaN: true, min: -1e6, max: 1e6 }).map((value) => value + 0),
);

/** In the unit of the metric, where it has one. */
const thresholdOf = (metric: string): fc.Arbitrary<number> =>
  metric.endsWith(".jitter")
    ? fc.integer({ min: 0, max: 1e6 }).map((us) => us / 1000)
    : /\.(?:loss|usage)$/.test(metric)
      ? fc.double({ noNaN: true, min: 0, max: 1 })
      : threshold;

const duration = fc.integer({ min: 0, max: 100_000 }).map(millis);

const actionOn = (known: readonly string[]): fc.Arbitrary<StrategyAction> =>
  fc.oneof(
    plainRecord({
      kind: fc.constantFrom("suspend" as const, "resume" as const),
      appliance: fc.constantFrom(...known),
    }),
    plainRecord({
      kind: fc.constant("run" as const),
      appliance: fc.constantFrom(...known),
      command: fc.array(text, { maxLength: 2 }).map((words) => ["run", ...words]),
    }),
    plainRecord({
      kind: fc.constant("move-cpu" as const),
      executionUs: fc.integer({ min: 1, max: 1e6 }).map(micros),
      from: fc.constantFrom(...known),
      to: fc.constantFrom(...known),
    }),
    plainRecord({
      kind: fc.constant("move-bandwidth" as const),
      bandwidthBps: rate,
      from: fc.constantFrom(...known),
      to: fc.constantFrom(...known),
    }),
  );

const source: fc.Arbitrary<MonitorSource> = fc.oneof(
  plainRecord({ kind: fc.constant("rtp" as const), port: fc.integer({ min: 1, max: 65_535 }) }),
  plainRecord({ kind: fc.constant("script" as const), command: fc.constant(["cat", "/x y"]) }),
  plainRecord({ kind: fc.constant("http" as const), url: fc.constant("http://localhost:1/m?a=b") }),
  plainRecord({
    kind: fc.constant("http" as const),
    url: fc.constant("http://localhost:1/metrics"),
    metrics: fc.constant({ any: 'sum(jobs_total{pool="a b",state!="done"})' }),
  }),
);
const metrics: Readonly<Record<MonitorSource["kind"], readonly string[]>> = {
  rtp: [".jitter", ".loss", ".packets", ".frame-rate"],
  scheduling: [".usage"],
  script: ["", ".any"],
  http: [".any"],
};

const classes = fc.uniqueArray(
  plainRecord({ name: fc.stringMatching(/^[a-z]{3,6}$/), priority: fc.integer({ min: 0, max: 7 }) }),
  { maxLength: 2, selector: (one) => one.name },
);

/** Some adjustments also with parts for teams, which have what they had: what else fits is for the checks to say. */
export function withTeamParts(ensemble: Ensemble): fc.Arbitrary<Ensemble> {
  const { adjustments } = ensemble;
  if (adjustments === undefined) return fc.constant(ensemble);
  const specs = new Map(appliancesOf(ensemble).map((one) => [one.name as string, one.spec]));
  return fc.boolean().map((some) => {
    const divided = adjustments.map((adjustment): Adjustment => {
      const all = [...teamsByPath(specs.get(adjustment.appliance)?.teams ?? [])];
      const parts = all.flatMap(([path, inside]): TeamAdjustment[] =>
        inside.cpu === undefined ? [] : [{ path, cpu: inside.cpu }],
      );
      return some && parts.length > 0 ? { ...adjustment, teams: parts } : adjustment;
    });
    return { ...ensemble, adjustments: divided };
  });
}

const machinesIn = (ensemble: Ensemble): ReadonlySet<string> =>
  new Set(
    appliancesOf(ensemble).flatMap(({ name: own, spec }): string[] => (spec.kind === "vm" ? [own] : [])),
  );

/** With classes, monitors, strategies and adjustments about what is there. */
export function adaptive(ensemble: Ensemble): fc.Arbitrary<Ensemble> {
  const known = appliancesOf(ensemble).map((appliance): string => appliance.name);
  const machines = machinesIn(ensemble);
  const monitors = fc.uniqueArray(
    plainRecord({
      name,
      appliance: fc.constantFrom(...known),
      everyMs: duration.map((ms) => millis(ms + 20)),
      source,
    }),
    { minLength: 1, maxLength: 3, selector: (one) => one.name },
  );
  const strategyOf = (given: readonly MonitorSpec[]): fc.Arbitrary<StrategySpec> =>
    fc
      .constantFrom(...given)
      .chain((monitor) =>
        fc.constantFrom(...metrics[monitor.source.kind]).map((metric) => monitor.name + metric),
      )
      .chain((metric) =>
        fc.tuple(
          plainRecord({
            name,
            when: plainRecord({
              metric: fc.constant(metric),
              comparison: fc.constantFrom(">" as const, ">=" as const, "<" as const, "<=" as const),
              threshold: thresholdOf(metric),
            }),
            forMs: duration,
            actions: fc.array(actionOn(known), { minLength: 1, maxLength: 3 }),
            cooldownMs: duration,
          }),
          optional("rearm", thresholdOf(metric)),
        ),
      )
      .map(([strategy, rearm]) => ({ ...strategy, ...rearm }));
  const adjustments = fc.uniqueArray(
    fc
      .tuple(
        fc.constantFrom(...known),
        optional("memoryBytes", fc.integer({ min: 2 ** 25, max: 2 ** 40 }).map(bytes)),
        optional("disk", arbitraryDiskLimits),
        optional("traffic", traffic),
        optional("suspended", fc.boolean()),
      )
      .map(([appliance, ...changes]) => Object.assign({ appliance }, ...changes) as Adjustment)
      .map(({ memoryBytes, disk, ...rest }): Adjustment => {
        if (machines.has(rest.appliance)) return disk === undefined ? rest : { ...rest, disk };
        return memoryBytes === undefined ? rest : { ...rest, memoryBytes };
      }),
    { maxLength: 2, selector: (one) => one.appliance },
  );
  return fc
    .tuple(
      optional(
        "serviceClasses",
        classes.filter((list) => list.every((one) => one.name !== "gold")),
      ),
      optional("monitors", monitors).chain((given) =>
        given.monitors === undefined
          ? fc.constant({})
          : optional(
              "strategies",
              fc.uniqueArray(strategyOf(given.monitors), { maxLength: 3, selector: (one) => one.name }),
            ).map((strategies) => ({ ...given, ...strategies })),
      ),
      optional("adjustments", adjustments),
    )
    .map(([own, measured, changed]) => ({ ...ensemble, ...own, ...measured, ...changed }));
}

/** Without the actions on what is not promised, and without the strategies that would then do nothing. */
export function sensibleActions(ensemble: Ensemble): Ensemble {
  const { strategies, ...rest } = ensemble;
  if (strategies === undefined) return ensemble;
  const accepted = (strategy: StrategySpec): boolean =>
    parseEnsembleDocument(ensembleDocument({ ...rest, strategies: [strategy] }), "").ok;
  const kept = strategies.flatMap((strategy) => {
    const actions = strategy.actions.filter((action) => accepted({ ...strategy, actions: [action] }));
    return actions.length === 0 ? [] : [{ ...strategy, actions }];
  });
  return { ...rest, strategies: kept };
}

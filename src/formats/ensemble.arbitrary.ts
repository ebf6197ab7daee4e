import fc from "fast-check";
import { ensembleName, hostId, siteName } from "#base/ids.ts";
import { bitsPerSecond, bytes, micros, milliCpu, millis } from "#base/units.ts";
import { adaptive, sensibleActions, withTeamParts } from "#formats/adaptation.arbitrary.ts";
import { parseEnsembleDocument } from "#formats/ensemble.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { name, optional, plainRecord, text, traffic } from "#formats/parts.arbitrary.ts";
import { vms } from "#formats/vm.arbitrary.ts";
import type {
  ApplianceSpec,
  CpuRequest,
  CpuReservation,
  Enforcement,
  Ensemble,
  LinkSpec,
  PlacementRule,
  TeamSpec,
} from "#model/ensemble.ts";

/** Ensembles that the formats accept, for property tests here and elsewhere. */
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 4 });
const labels = fc.dictionary(fc.stringMatching(/^[a-z][a-z./-]{0,8}$/), text, {
  maxKeys: 2,
  noNullPrototype: true,
});

const cpu: fc.Arbitrary<CpuRequest> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 0, max: 9000 })).map(([share, more]) => ({
    kind: "share" as const,
    shareMilli: milliCpu(share),
    limitMilli: milliCpu(share + more),
  })),
  fc
    .tuple(fc.integer({ min: 1_000, max: 1_000_000 }), fc.integer({ min: 1, max: 2_000_000 }))
    .map(([period, execution]) => ({
      kind: "reservation" as const,
      periodUs: micros(period),
      executionUs: micros(execution),
    })),
);

const part = (periodUs: number, executionUs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(periodUs),
  executionUs: micros(executionUs),
});

const team = (depth: number): fc.Arbitrary<TeamSpec> =>
  fc
    .tuple(
      plainRecord({
        name: fc.stringMatching(/^[a-z]{3,6}$/),
        policy: fc.constantFrom("round-robin" as const, "together" as const),
        jobs: fc.array(
          text.map((word) => ["run", word]),
          { maxLength: 3 },
        ),
        teams: depth === 0 ? fc.constant([]) : teams(depth - 1),
      }),
      // Any two of these fit into 30%, and any two inner ones into an outer one.
      optional(
        "cpu",
        // The period of an inner one is a multiple of either outer one's, as tables need it.
        depth === 0
          ? fc.constant(part(1_000_000, 25_000))
          : fc.constantFrom(part(40_000, 4_000 * depth + 1_000), part(1_000_000, 100_000 * depth + 25_000)),
      ),
    )
    .map(([spec, own]) => {
      const inner = "cpu" in own ? spec.teams : spec.teams.map(({ cpu: _cpu, ...rest }) => rest);
      return { ...spec, teams: inner, ...own };
    });

const teams = (depth: number): fc.Arbitrary<TeamSpec[]> =>
  fc.uniqueArray(team(depth), { maxLength: 2, selector: ({ name: own }) => own });

const reserved = fc
  .tuple(
    fc.constantFrom("auto" as const, "dispatch-table" as const, "bandwidth" as const, "deadline" as const),
    fc.integer({ min: 30, max: 100 }),
    optional("teams", teams(1)),
  )
  .map(([enforcement, percent, own]) => ({
    kind: "task" as const,
    cpu: part(40_000, percent * 400),
    enforcement,
    ...(own.teams === undefined ? {} : { teams: takingTurns(own.teams, enforcement) }),
  }));

/** Only a table makes programs take turns. */
function takingTurns(list: readonly TeamSpec[], enforcement: Enforcement): TeamSpec[] {
  if (enforcement === "auto" || enforcement === "dispatch-table") return [...list];
  return list.map((one) => ({ ...one, policy: "together", teams: takingTurns(one.teams, enforcement) }));
}

const applianceOf = (own: string, networks: readonly string[]): fc.Arbitrary<ApplianceSpec> =>
  fc
    .tuple(
      plainRecord({
        name: fc.constant(own),
        kind: fc.constant("task" as const),
        replicas: fc.integer({ min: 1, max: 3 }),
        command: fc.array(text, { maxLength: 3 }).map((words) => ["run", ...words]),
        env: fc.dictionary(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,6}$/), text, {
          maxKeys: 3,
          noNullPrototype: true,
        }),
        files: fc
          .uniqueArray(fc.stringMatching(/^\/etc\/[a-z]{1,6}\.conf$/), { maxLength: 3 })
          .chain((paths) =>
            fc.tuple(
              ...paths.map((path) =>
                plainRecord({
                  path: fc.constant(path),
                  content: text,
                  mode: fc.integer({ min: 0, max: 0o7777 }),
                }),
              ),
            ),
          ),
        networks: fc.shuffledSubarray([...networks]),
        restart: fc
          .tuple(
            fc.constantFrom("always" as const, "on-failure" as const, "never" as const),
            fc.oneof(
              fc.constant({ least: 500, more: 29_500 }),
              fc.record({
                least: fc.integer({ min: 0, max: 5_000 }),
                more: fc.integer({ min: 0, max: 100_000 }),
              }),
            ),
          )
          .map(([when, { least, more }]) => ({
            when,
            backoffMsMin: millis(least),
            backoffMsMax: millis(least + more),
          })),
        onHostLoss: fc.constantFrom("elsewhere" as const, "in-place" as const),
        priority: fc.integer({ min: 0, max: 9 }),
        placement: fc
          .tuple(
            optional(
              "hosts",
              names.map((list) => list.map(hostId)),
            ),
            optional(
              "sites",
              names.map((list) => list.map(siteName)),
            ),
            labels,
          )
          .map(([hosts, sites, all]) => ({ ...hosts, ...sites, labels: all })),
        stopGraceMs: fc.integer({ min: 0, max: 100_000 }).map(millis),
      }),
      fc.oneof(optional("image", fc.constant("dir:///srv/roots/web")), vms),
      optional("directory", fc.constantFrom("/", "/srv")),
      optional("cpu", cpu),
      optional("memoryBytes", fc.integer({ min: 1, max: 2 ** 40 }).map(bytes)),
      fc.oneof(fc.constant({}), reserved),
      optional("traffic", traffic),
      optional("suspended", fc.constant(true as const)),
    )
    .map(([spec, kind, directory, share, memory, reservation, flow, suspended]) => ({
      ...spec,
      ...directory,
      ...share,
      ...memory,
      ...("vm" in kind ? {} : reservation),
      ...kind,
      ...flow,
      ...suspended,
    }));

const linksOf = (known: readonly string[]): fc.Arbitrary<LinkSpec[]> =>
  fc.array(
    fc
      .tuple(
        fc.constantFrom(...known),
        fc.constantFrom(...known),
        optional("bandwidthBps", fc.integer({ min: 1, max: 1e9 }).map(bitsPerSecond)),
        optional("ceilingBps", fc.integer({ min: 1e9, max: 2e9 }).map(bitsPerSecond)),
        optional("latency", fc.constantFrom("low" as const, "high" as const)),
        fc.integer({ min: 0, max: 7 }),
      )
      .map(([from, to, bandwidth, ceiling, latency, priority]) => ({
        from,
        to,
        ...bandwidth,
        ...ceiling,
        ...latency,
        priority,
      })),
    { maxLength: 4 },
  );

const placementOf = (known: readonly string[]): fc.Arbitrary<PlacementRule[]> =>
  fc.array(
    plainRecord({
      rule: fc.constantFrom("together" as const, "apart" as const),
      scope: fc.constantFrom("host" as const, "site" as const),
      appliances: fc.subarray([...known], { minLength: 1 }),
    }),
    { maxLength: 2 },
  );

/** Those of any shape that also make sense: the rest is filtered by the checks themselves. */
export const ensembles: fc.Arbitrary<Ensemble> = fc
  .tuple(
    name,
    names,
    fc.oneof(fc.constant(["lan"]), fc.uniqueArray(name, { maxLength: 3 })),
    optional("description", text),
  )
  .chain(([own, appliances, networks, description]) =>
    plainRecord({
      name: fc.constant(ensembleName(own)),
      description: fc.constant(description),
      appliances: fc.tuple(...appliances.map((appliance) => applianceOf(appliance, networks))),
      networks: fc.constant(networks).chain((list) =>
        fc.tuple(
          ...list.map((network, index) =>
            optional("subnet", fc.constant(`10.${index + 1}.0.0/24`)).map((subnet) => ({
              name: network,
              ...subnet,
            })),
          ),
        ),
      ),
      links: linksOf(appliances),
      placement: placementOf(appliances),
    }),
  )
  .map(({ description, ...ensemble }) => ({ ...ensemble, ...description }))
  .map(sensible)
  .chain(adaptive)
  .chain(withTeamParts)
  .map(sensibleActions);

/** Without the links and rules that contradict the rest. */
function sensible(ensemble: Ensemble): Ensemble {
  const accepted = (candidate: Ensemble): boolean =>
    parseEnsembleDocument(ensembleDocument(candidate), "").ok;
  let result: Ensemble = { ...ensemble, links: [], placement: [] };
  for (const link of ensemble.links) {
    const more = { ...result, links: [...result.links, link] };
    if (accepted(more)) result = more;
  }
  for (const rule of ensemble.placement) {
    const more = { ...result, placement: [...result.placement, rule] };
    if (accepted(more)) result = more;
  }
  return result;
}

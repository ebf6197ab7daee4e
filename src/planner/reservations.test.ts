import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { megabitsPerSecond, mebibytes, micros, milliCpu } from "#base/units.ts";
import type { ApplianceSpec, CpuReservation, Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { DispatchRules, Topology } from "#model/topology.ts";
import { condensed, existingLoad } from "#planner/existing-load.ts";
import { explainMapping } from "#planner/explain.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";
import { promisedOnUplinks } from "#planner/uplinks.ts";

/** Hosts around one switch, each with so many thousandths of a core and a cable of 10 Mbit/s. */
function star(hosts: number, cpuMilli = 1000): Topology {
  const ids = Array.from({ length: hosts }, (_, index) => hostId(`a${index + 1}`));
  const site = "alpha" as never;
  return {
    sites: [{ name: site, tunnel: "vxlan" }],
    hosts: ids.map((id) => ({
      id,
      site,
      cpuMilli: milliCpu(cpuMilli),
      memoryBytes: mebibytes(1024),
      labels: {},
    })),
    devices: [{ id: "sw", kind: "switch", site }],
    links: ids.map((a) => ({ a, b: "sw", bandwidthBps: megabitsPerSecond(10), latencyUs: micros(50) })),
  };
}

const reservation = (executionMs: number, periodMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(periodMs * 1000),
  executionUs: micros(executionMs * 1000),
});

const tabled = (name: string, executionMs: number, periodMs: number): ApplianceSpec =>
  sampleAppliance(name, { cpu: reservation(executionMs, periodMs), enforcement: "dispatch-table" });

const problemOf = (
  topology: Topology,
  appliances: readonly ApplianceSpec[],
  fields: Partial<Ensemble> = {},
): MappingProblem => ({
  topology,
  ensembles: [sampleEnsemble("shop", { appliances, ...fields })],
  existing: [],
});

const idOf = (name: string) => applianceId(ensembleName("shop"), applianceName(name));

/** The mapping, which the linter agrees with. */
function solved(problem: MappingProblem, seed = 1): ReturnType<typeof solveMapping> {
  const mapping = solveMapping(problem, { seed, effort: 0.1 });
  const findings = lintMapping(problem, mapping);
  assert.equal(findings.length === 0, mapping.violations.length === 0, JSON.stringify(findings));
  return mapping;
}

describe("reservations of CPU time per period", () => {
  it("are refused when they fit in sum but on no single processor, with what would fit", () => {
    const three = ["x", "y", "z"].map((name) => tabled(name, 24, 40));
    const { violations } = solved(problemOf(star(1, 2000), three));
    const [first, ...others] = violations;
    assert.deepEqual(others, []);
    assert.equal(first?.kind, "host-schedule");
    assert.match(first.message, /^Cannot keep every period on a1 \(200%\): /);
    assert.match(
      first.remedy,
      /at most 16ms of its period would fit there; or declare enforcement: bandwidth/,
    );
    assert.deepEqual(
      solved(
        problemOf(
          star(1, 2000),
          three.map((spec) => ({ ...spec, enforcement: "bandwidth" as const })),
        ),
      ).violations,
      [],
    );
  });

  it("are admitted by the rule and in the slots that their host fills its tables by", () => {
    const ruled = (dispatch: DispatchRules): Topology => {
      const topology = star(1);
      return { ...topology, hosts: topology.hosts.map((host) => ({ ...host, dispatch })) };
    };
    const kinds = (topology: Topology, specs: readonly ApplianceSpec[]): string[] =>
      solved(problemOf(topology, specs)).violations.map(({ kind }) => kind);
    // By the shorter period first, y would have 2 of the 26 ms of its first period only after it.
    const two = [tabled("x", 18, 40), tabled("y", 26, 60)];
    assert.deepEqual(kinds(star(1), two), ["host-schedule"]);
    assert.deepEqual(kinds(ruled({ policy: "rate-monotonic" }), two), ["host-schedule"]);
    assert.deepEqual(kinds(ruled({ policy: "earliest-deadline-first" }), two), []);
    // In slots of 10 ms each of three takes two of four.
    const three = ["x", "y", "z"].map((name) => tabled(name, 12, 40));
    assert.deepEqual(kinds(star(1), three), []);
    assert.deepEqual(kinds(ruled({ policy: "rate-monotonic", quantumUs: micros(10_000) }), three), [
      "host-schedule",
    ]);
  });

  it("whose table would repeat too late are refused with a period that does fit", () => {
    const specs = [37, 41, 43, 47].map((periodMs) => tabled(`m${periodMs}`, 4, periodMs));
    const [first, ...others] = solved(problemOf(star(1), specs)).violations;
    assert.deepEqual(others, []);
    assert.equal(first?.kind, "host-schedule");
    assert.match(first.message, /repeats only after more than 65536 slots/);
    const [, name = "", executionMs, periodMs] =
      /^Ask for another period for shop\/(m\d+): ([\d.]+)ms\/([\d.]+)ms would fit there;/.exec(
        first.remedy,
      ) ?? [];
    const mended = specs.map((spec) =>
      spec.name === name ? tabled(name, Number(executionMs), Number(periodMs)) : spec,
    );
    assert.deepEqual(solved(problemOf(star(1), mended)).violations, []);
  });

  it("are told once, with what is free beside others, and the largest that fits", () => {
    const placed: PlacedEnsemble = {
      ensemble: { ...sampleEnsemble("old", { appliances: [tabled("one", 22, 40)] }) },
      placements: new Map([[applianceId(ensembleName("old"), applianceName("one")), hostId("a1")]]),
    };
    const problem = { ...problemOf(star(1), [tabled("x", 24, 40)]), existing: [placed] };
    const [first, ...others] = solved(problem).violations;
    assert.deepEqual(others, []);
    assert.equal(
      first?.message,
      "Cannot reserve CPU on a1: it has 100%, 45% of it free, wanted 60% for shop/x",
    );
    assert.equal(
      first.remedy,
      "Ask for 15% less CPU, for example at most 18ms/40ms for shop/x, or add hosts",
    );
    const least = problemOf(star(1), [tabled("x", 18, 40)]);
    assert.deepEqual(solved({ ...least, existing: [placed] }).violations, []);
  });

  it("go where they can be kept in time, also when another host has more room in sum", () => {
    const specs = [tabled("x", 24, 40), tabled("y", 24, 40), tabled("z", 24, 40)];
    const mapping = solved(problemOf(star(2, 2000), specs));
    assert.deepEqual(mapping.violations, []);
    const hosts = [...mapping.placements.values()];
    assert.equal(new Set(hosts).size, 2);
  });

  it("are explained: a host with room in sum, but not in time, is no candidate", () => {
    const specs = [
      ...["x", "y"].map((name) => ({
        ...tabled(name, 24, 40),
        placement: { labels: {}, hosts: [hostId("a1")] },
      })),
      tabled("z", 24, 40),
    ];
    const problem = problemOf(star(2, 2000), specs);
    const told = explainMapping(problem, solved(problem)).appliances.find(
      ({ appliance }) => appliance === idOf("z"),
    );
    assert.equal(told?.host, "a2");
    const other = told.candidates.find(({ host }) => host === "a1");
    assert.equal(other?.reason, "CPU: enough, but not in time for every period");
  });

  it("count what stays where it is, summed up for a thread or not", () => {
    const staying: PlacedEnsemble = {
      ensemble: { ...sampleEnsemble("old", { appliances: [tabled("one", 24, 40), tabled("two", 24, 40)] }) },
      placements: new Map([
        [applianceId(ensembleName("old"), applianceName("one")), hostId("a1")],
        [applianceId(ensembleName("old"), applianceName("two")), hostId("a1")],
      ]),
    };
    const problem: MappingProblem = {
      ...problemOf(star(1, 2000), [tabled("x", 24, 40)]),
      existing: [staying],
    };
    assert.equal(solved(problem).violations[0]?.kind, "host-schedule");
    assert.deepEqual(solved(structuredClone(condensed(problem))).violations, solved(problem).violations);
  });

  it("whatever is asked for: a mapping without violations passes the linter", () => {
    let kept = 0;
    const machine = fc.tuple(
      fc.constantFrom(20, 40, 80),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom("dispatch-table" as const, "auto" as const, "deadline" as const),
    );
    fc.assert(
      fc.property(fc.array(machine, { minLength: 1, maxLength: 8 }), fc.integer(), (machines, seed) => {
        const specs = machines.map(([periodMs, tenths, enforcement], index) =>
          sampleAppliance(`m${index}`, { cpu: reservation((periodMs * tenths) / 10, periodMs), enforcement }),
        );
        if (solved(problemOf(star(3), specs), seed).violations.length === 0) kept += 1;
      }),
      { numRuns: 60 },
    );
    assert.ok(kept > 5, `only ${kept} were kept`);
  });
});

const gold = (name: string, mbit: number): ApplianceSpec =>
  sampleAppliance(name, { traffic: { serviceClass: "gold", outBps: megabitsPerSecond(mbit) } });

describe("traffic of appliances", () => {
  it("is admitted on the uplink of its host, beside links, and refused with whose it is", () => {
    assert.deepEqual(solved(problemOf(star(2), [gold("x", 6), gold("y", 6)])).violations, []);
    const [first] = solved(problemOf(star(1), [gold("x", 6), gold("y", 6)])).violations;
    assert.equal(first?.kind, "link-bandwidth");
    assert.match(
      first.message,
      /between a1 and sw: .*wanted 12\.4\dMbit\/s with tunnel headers for all traffic of shop\/x, all traffic of shop\/y/,
    );
    assert.match(first.remedy, /, for example at most 3\.66Mbit\/s for all traffic of shop\/x, /);
    assert.deepEqual(solved(problemOf(star(1), [gold("x", 3.66), gold("y", 6)])).violations, []);
    assert.notDeepEqual(solved(problemOf(star(1), [gold("x", 3.68), gold("y", 6)])).violations, []);
  });

  it("counts links of the same appliance within it, and what they take beyond it", () => {
    const apart = { rule: "apart" as const, scope: "host" as const, appliances: ["x", "y"] };
    const withLink = (mbit: number): MappingProblem =>
      problemOf(star(2), [gold("x", 6), sampleAppliance("y")], {
        links: [sampleLink("x", "y", { bandwidthBps: megabitsPerSecond(mbit) })],
        placement: [apart],
      });
    const within = solved(withLink(5));
    assert.deepEqual(within.violations, []);
    const placed: PlacedEnsemble = {
      ensemble: withLink(5).ensembles[0] as Ensemble,
      placements: within.placements,
      paths: within.paths,
    };
    const { link } = existingLoad({ topology: star(2), ensembles: [], existing: [placed] });
    const [x, y] = ["x", "y"].map((name) => Number(within.placements.get(idOf(name))?.slice(1)) - 1);
    assert.equal(link[x ?? -1], 6_204_919, "the greater of the two");
    assert.equal(link[y ?? -1], 5_170_766, "the link alone");
    const uplinks = promisedOnUplinks(star(2), [placed]);
    assert.deepEqual(
      [...uplinks.values()].toSorted((a, b) => a - b),
      [5_170_766, 6_204_919],
      "as hosts show it",
    );
    assert.deepEqual(solved(withLink(9)).violations, []);
  });

  it("whatever is asked for: a mapping without violations passes the linter", () => {
    let kept = 0;
    const flows = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 6 });
    const pairs = fc.array(fc.tuple(fc.nat(5), fc.nat(5), fc.integer({ min: 1, max: 4 })), { maxLength: 5 });
    fc.assert(
      fc.property(flows, pairs, fc.integer(), (rates, chosen, seed) => {
        const specs = rates.map((rate, index) =>
          rate === 0 ? sampleAppliance(`m${index}`) : gold(`m${index}`, rate),
        );
        const links = [
          ...new Map(
            chosen.flatMap(([a, b, rate]) => {
              const [from, to] = [a, b]
                .map((one) => one % rates.length)
                .toSorted((one, other) => one - other);
              return from === to
                ? []
                : [
                    [
                      `${from} ${to}`,
                      sampleLink(`m${from}`, `m${to}`, { bandwidthBps: megabitsPerSecond(rate) }),
                    ],
                  ];
            }),
          ).values(),
        ];
        if (solved(problemOf(star(3), specs, { links }), seed).violations.length === 0) kept += 1;
      }),
      { numRuns: 80 },
    );
    assert.ok(kept > 10, `only ${kept} were kept`);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applianceId, ensembleName, hostId, siteName } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { megabitsPerSecond, mebibytes, micros, milliCpu } from "#base/units.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble, HostLossPolicy } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { Topology } from "#model/topology.ts";
import { capacityOf } from "#planner/capacity.ts";
import type { CapacityAnswer, CapacityQuestion } from "#planner/capacity.ts";
import { lintMapping } from "#planner/lint.ts";
import type { PlacedEnsemble } from "#planner/mapping.ts";

/** Hosts on one switch; CPUs of each given. */
function cloudOf(cpus: readonly number[], uplinkMbit = 1000): Topology {
  const alpha = siteName("alpha");
  const uplink = { bandwidthBps: megabitsPerSecond(uplinkMbit), latencyUs: micros(5) };
  return {
    sites: [{ name: alpha, tunnel: "wireguard" }],
    hosts: cpus.map((cpu, index) => ({
      id: hostId(`h${index}`),
      site: alpha,
      cpuMilli: milliCpu(cpu * 1000),
      memoryBytes: mebibytes(8192),
      labels: {},
    })),
    devices: [{ id: "switch", kind: "switch", site: alpha }],
    links: cpus.map((_, index) => ({ a: `h${index}`, b: "switch", ...uplink })),
  };
}

type Member = { readonly cpus: number; readonly onHostLoss: HostLossPolicy };

function ensembleOf(name: string, members: readonly Member[], linkMbit?: number): Ensemble {
  return sampleEnsemble(name, {
    appliances: members.map(({ cpus, onHostLoss }, index) => {
      const share = milliCpu(cpus * 1000);
      return sampleAppliance(`a${index}`, {
        cpu: { kind: "share", shareMilli: share, limitMilli: share },
        onHostLoss,
      });
    }),
    links:
      linkMbit === undefined
        ? []
        : members
            .slice(1)
            .map((_, index) =>
              sampleLink("a0", `a${index + 1}`, { bandwidthBps: megabitsPerSecond(linkMbit) }),
            ),
  });
}

const single = ensembleOf("web", [{ cpus: 1, onHostLoss: "elsewhere" }]);
/** These clouds are tiny. */
const effort = 0.1;
const ask = (
  question: Partial<CapacityQuestion> & Pick<CapacityQuestion, "topology">,
  survive: "none" | "any-host",
  copiesMost = 1000,
): CapacityAnswer =>
  capacityOf({ placed: [], ensemble: single, ...question }, { seed: 1, effort, survive, copiesMost });

/** What is there, with everything in CPUs: on a switch with ample links only these count. */
type Tiny = {
  readonly cpus: readonly number[];
  readonly members: readonly Member[];
  readonly filler: readonly Member[];
};

/** Plainly over every assignment; shares nothing with the search. */
function bruteForce({ cpus, members, filler }: Tiny, survive: boolean): number {
  for (let copies = 0; ; copies += 1) {
    const all = [
      ...filler.map((one, host) => ({ ...one, host })),
      ...Array.from({ length: copies }, () => members).flat(),
    ];
    if (!everyWay(all, cpus, survive)) return copies - 1;
  }
}

type Lodger = Member & { readonly host?: number };

function everyWay(all: readonly Lodger[], cpus: readonly number[], survive: boolean): boolean {
  const where: number[] = [];
  const free = [...cpus];
  const place = (index: number): boolean => {
    if (index === all.length) return !survive || cpus.every((_, lost) => mended(all, where, cpus, lost));
    const { cpus: wanted, host: fixed } = all[index]!;
    return cpus.some((_, host) => {
      if ((fixed !== undefined && fixed !== host) || free[host]! < wanted) return false;
      free[host]! -= wanted;
      where.push(host);
      const found = place(index + 1);
      where.pop();
      free[host]! += wanted;
      return found;
    });
  };
  return place(0);
}

function mended(
  all: readonly Lodger[],
  where: readonly number[],
  cpus: readonly number[],
  lost: number,
): boolean {
  const free = cpus.map((cpu, host) =>
    all.reduce((left, one, at) => (where[at] === host ? left - one.cpus : left), cpu),
  );
  const leaving = all
    .filter((one, at) => where[at] === lost && one.onHostLoss === "elsewhere")
    .map((one) => one.cpus);
  const place = (index: number): boolean =>
    index === leaving.length ||
    free.some((room, host) => {
      if (host === lost || room < leaving[index]!) return false;
      free[host]! -= leaving[index]!;
      const found = place(index + 1);
      free[host]! += leaving[index]!;
      return found;
    });
  return place(0);
}

const member = fc.record({
  cpus: fc.integer({ min: 1, max: 3 }),
  onHostLoss: fc.constantFrom<HostLossPolicy>("elsewhere", "elsewhere", "in-place"),
});
const tinies = fc.record({
  cpus: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 3 }),
  members: fc.array(member, { minLength: 1, maxLength: 2 }),
  filler: fc.array(
    fc.record({ cpus: fc.constant(1), onHostLoss: fc.constant<HostLossPolicy>("elsewhere") }),
    { maxLength: 2 },
  ),
});

function questionOf({ cpus, members, filler }: Tiny): CapacityQuestion {
  const placed = filler.map((one, index): PlacedEnsemble => {
    const ensemble = ensembleOf(`filler${index}`, [one]);
    const placements = new Map<ApplianceId, HostId>([
      [applianceId(ensemble.name, "a0" as never), hostId(`h${index}`)],
    ]);
    return { ensemble, placements, paths: [] };
  });
  return { topology: cloudOf(cpus), placed, ensemble: ensembleOf("asked", members) };
}

describe("capacityOf()", () => {
  for (const survive of ["none", "any-host"] as const) {
    test(`promises no copy that trying every placement does not find, in tiny clouds: survive ${survive}`, () => {
      fc.assert(
        fc.property(tinies, (tiny) => {
          const question = questionOf(tiny);
          const answer = capacityOf(question, { seed: 1, effort, survive, copiesMost: 100 });
          assert.ok(answer.copies <= Math.max(0, bruteForce(tiny, survive === "any-host")));
          const ensembles = [...question.placed, ...answer.placed].map(({ ensemble }) => ensemble);
          const placements = new Map(
            [...question.placed, ...answer.placed].flatMap((one) => [...one.placements]),
          );
          assert.deepEqual(
            lintMapping({ topology: question.topology, ensembles, existing: [] }, { placements, paths: [] }),
            [],
          );
        }),
        { numRuns: 40 },
      );
    });
  }

  for (const [survive, least] of [
    ["none", 1],
    ["any-host", 0.9],
  ] as const) {
    test(`mostly finds all that trying every placement finds: survive ${survive}`, () => {
      const clouds = fc.sample(tinies, { numRuns: 60, seed: 7 });
      const whole = clouds.filter((tiny) => {
        const answer = capacityOf(questionOf(tiny), { seed: 1, effort, survive, copiesMost: 100 });
        return answer.copies === Math.max(0, bruteForce(tiny, survive === "any-host"));
      });
      assert.ok(whole.length >= least * clouds.length, `all copies in ${whole.length} of ${clouds.length}`);
    });
  }

  test("leaves room for the largest host when any one may be lost, and names what binds", () => {
    const topology = cloudOf([4, 4, 4]);
    const plain = ask({ topology }, "none");
    assert.equal(plain.copies, 12);
    assert.equal(plain.binding.kind, "admission");
    assert.deepEqual(plain.utilisation.cpu, 1);
    const safe = ask({ topology }, "any-host");
    assert.equal(safe.copies, 8);
    assert.ok(safe.binding.kind === "host-loss");
    assert.deepEqual(
      safe.binding.violations.map(({ kind }) => kind),
      ["host-cpu"],
    );
    assert.equal(safe.utilisation.cpu, 8 / 12);
  });

  test("answers 0 when what runs already could not survive, and says which loss", () => {
    const ensemble = ensembleOf("full", [{ cpus: 3, onHostLoss: "elsewhere" }]);
    const placements = new Map([[appliancesOf(ensemble)[0]!.id, hostId("h1")]]);
    const answer = ask({ topology: cloudOf([2, 4]), placed: [{ ensemble, placements }] }, "any-host");
    assert.equal(answer.copies, 0);
    assert.ok(answer.binding.kind === "host-loss");
    assert.equal(answer.binding.host, "h1");
  });

  test("needs no other place for those that wait in place, and goes on counting them", () => {
    const waiting = ensembleOf("waiting", [{ cpus: 1, onHostLoss: "in-place" }]);
    assert.equal(ask({ topology: cloudOf([2, 2]), ensemble: waiting }, "any-host").copies, 4);
    const mixed = ensembleOf("mixed", [
      { cpus: 1, onHostLoss: "in-place" },
      { cpus: 1, onHostLoss: "elsewhere" },
    ]);
    // Two would fill both hosts, and whoever is leased would find the other host full.
    assert.equal(ask({ topology: cloudOf([2, 2]), ensemble: mixed }, "any-host").copies, 1);
  });

  test("counts the links: what finds a host after a loss must find bandwidth too", () => {
    const pair = ensembleOf(
      "pair",
      [
        { cpus: 3, onHostLoss: "in-place" },
        { cpus: 2, onHostLoss: "elsewhere" },
      ],
      60,
    );
    // The leased one moves to the third host; two of them would need 120 Mbit/s over one uplink of 100 Mbit/s.
    const wide = ask({ topology: cloudOf([3, 3, 4, 4], 1000), ensemble: pair }, "any-host");
    const narrow = ask({ topology: cloudOf([3, 3, 4, 4], 100), ensemble: pair }, "any-host");
    assert.equal(wide.copies, 2);
    assert.equal(narrow.copies, 1);
    assert.ok(narrow.binding.kind === "host-loss");
    assert.deepEqual(
      narrow.binding.violations.map(({ kind }) => kind),
      ["link-bandwidth"],
    );
  });

  test("is not stopped by a copy of the same name that runs, and puts nothing where nothing may go", () => {
    const running = { ensemble: { ...single, name: ensembleName("copy-1") }, placements: new Map() };
    const unusableHosts = new Set([hostId("h0")]);
    const answer = ask({ topology: cloudOf([4, 2]), placed: [running], unusableHosts }, "none");
    assert.equal(answer.copies, 2);
    for (const { placements } of answer.placed) assert.deepEqual([...placements.values()], ["h1"]);
  });

  test("ends at the number it was told, and when time is over, with what was found", () => {
    const topology = cloudOf([64, 64]);
    const few = ask({ topology }, "none", 10);
    assert.deepEqual([few.copies, few.binding.kind], [10, "count"]);
    const nothing = sampleEnsemble("nothing", { appliances: [sampleAppliance("idle")] });
    assert.equal(ask({ topology, ensemble: nothing }, "any-host", 5).binding.kind, "count");
    const stopped = capacityOf(
      { topology, placed: [], ensemble: single },
      { seed: 1, survive: "none", copiesMost: 1000, shouldStop: () => true },
    );
    assert.deepEqual([stopped.copies, stopped.binding.kind], [0, "time"]);
  });

  test("gives the same answer to the same question", () => {
    const question = {
      topology: cloudOf([4, 3, 5]),
      placed: [],
      ensemble: ensembleOf("two", [{ cpus: 2, onHostLoss: "elsewhere" }]),
    };
    const options = { seed: 3, effort, survive: "any-host" as const, copiesMost: 50 };
    assert.deepEqual(capacityOf(question, options), capacityOf(structuredClone(question), options));
  });
});

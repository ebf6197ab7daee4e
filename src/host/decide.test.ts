import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { mebibytes, micros, milliCpu, millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { decideNetwork, decideSteps } from "#host/decide.ts";
import type { HostSteps } from "#host/decide.ts";
import { applianceIn as id, planned as wanted, seen } from "#host/sample.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { AppliancePlan, HostPlan, VmPlan } from "#protocol/host-plan.ts";
import type { ApplianceState, VmReport } from "#protocol/host-report.ts";

const plan = (...appliances: AppliancePlan[]): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision: 1,
  appliances,
  segments: [],
  shapedPairs: [],
  tunnels: [],
});

const nothing = {
  destroy: [],
  create: [],
  adapt: new Map(),
  resize: [],
  suspend: [],
  resume: [],
  waiting: [],
};
const samplePlan = { vcpusMax: 4 } as VmPlan;
const plenty = { cpuMilli: milliCpu(64_000), memoryBytes: mebibytes(64_000) };

describe("decideSteps()", () => {
  it("does not begin what may still run elsewhere, and leaves it alone where it runs", () => {
    assert.deepEqual(decideSteps(plan(wanted("web", { held: true })), [], new Set(), plenty).create, []);
    const steps = decideSteps(plan(wanted("web", { held: true })), [seen("web")], new Set(), plenty);
    assert.deepEqual(steps, nothing);
  });

  it("takes away what waits here for a move that is over, as nothing of it has come, while it may run elsewhere", () => {
    const held = plan(wanted("web", { kind: "vm", held: true, vm: samplePlan }));
    const at = (phase: string): ApplianceObservation =>
      seen("web", { vm: { move: { move: "m1", side: "arriving", phase } } as unknown as VmReport });
    assert.deepEqual(decideSteps(held, [at("listening")], new Set(), plenty).destroy, [id("web")]);
    assert.deepEqual(decideSteps(held, [at("received")], new Set(), plenty).destroy, []);
  });

  it("lets nobody grow into what a machine that is moving away still has", () => {
    const cpu = (shareMilli: number) =>
      ({ kind: "share", shareMilli: milliCpu(shareMilli), limitMilli: milliCpu(shareMilli) }) as const;
    const move = { side: "leaving", move: "m1" };
    const db = wanted("db", { kind: "vm", cpu: cpu(400), vm: { ...samplePlan, move } as unknown as VmPlan });
    const web = wanted("web", { cpu: cpu(700) });
    const room = { ...plenty, cpuMilli: milliCpu(1000) };
    const here = [seen("web", { cpu: cpu(500) }), seen("db", { cpu: cpu(400) })];
    assert.deepEqual(decideSteps(plan(web, db), here, new Set(), room).waiting, [id("web")]);
    assert.deepEqual(decideSteps(plan(web), [here[0]!], new Set(), room).waiting, []);
  });

  it("does nothing when the host is as planned", () => {
    assert.deepEqual(decideSteps(plan(wanted("web")), [seen("web")], new Set(), plenty), nothing);
  });

  it("creates what is missing and destroys what nobody wants", () => {
    const steps = decideSteps(plan(wanted("web")), [seen("db")], new Set(), plenty);
    assert.deepEqual([steps.create.map((one) => one.id), steps.destroy], [[id("web")], [id("db")]]);
  });

  it("destroys what has left in an earlier move when the machine comes back, and nothing that is of this move", () => {
    const left = { vm: { move: { move: "m1", side: "leaving", phase: "sent" } } as VmReport };
    const coming = (move: string): AppliancePlan =>
      wanted("web", { kind: "vm", vm: { ...samplePlan, move: { side: "arriving", move } } as VmPlan });
    const there = seen("web", left);
    assert.deepEqual(decideSteps(plan(coming("m2")), [there], new Set(), plenty).destroy, [id("web")]);
    assert.deepEqual(decideSteps(plan(coming("m1")), [there], new Set(), plenty).destroy, []);
  });

  for (const phase of ["listening", "running-remote-disks"] as const) {
    it(`destroys what waits for the host it left (${phase}), once its plan speaks of no move any more, and not before`, () => {
      const move = { move: "m1", side: "arriving" } as const;
      const waiting = seen("web", { vm: { move: { ...move, phase } } as unknown as VmReport });
      const machine = (vm: object): AppliancePlan =>
        wanted("web", { kind: "vm", vm: { ...samplePlan, ...vm } });
      assert.deepEqual(decideSteps(plan(machine({ move })), [waiting], new Set(), plenty).destroy, []);
      assert.deepEqual(decideSteps(plan(machine({})), [waiting], new Set(), plenty).destroy, [id("web")]);
    });
  }

  it("destroys an appliance of another generation first, and creates it once it is gone", () => {
    const desired = plan(wanted("web", { generation: "g2" }));
    const first = decideSteps(desired, [seen("web")], new Set(), plenty);
    assert.deepEqual([first.destroy, first.create], [[id("web")], []]);
    assert.deepEqual(decideSteps(desired, [seen("web")], new Set([id("web")]), plenty), nothing);
    assert.deepEqual(
      decideSteps(desired, [], new Set(), plenty).create.map((one) => one.id),
      [id("web")],
    );
  });

  it("resizes live when only the limits differ", () => {
    const cpu = { kind: "reservation", periodUs: micros(40_000), executionUs: micros(16_000) } as const;
    const share = { kind: "share", shareMilli: milliCpu(400), limitMilli: milliCpu(400) } as const;
    const steps = decideSteps(
      plan(wanted("web", { cpu, memoryBytes: mebibytes(64) })),
      [seen("web", { cpu: share, memoryLimitBytes: mebibytes(64) })],
      new Set(),
      plenty,
    );
    assert.deepEqual(steps, { ...nothing, adapt: new Map([[id("web"), { cpu }]]) });
  });

  it("resizes a machine whose processors or disk limits are others than it has, all of it", () => {
    const disk = { writesPerSecond: 100 };
    const machine = (vcpus: number): Pick<AppliancePlan, "kind" | "vm"> => ({
      kind: "vm",
      vm: { ...samplePlan, vcpus, disk },
    });
    const report = { vcpus: 2 } as VmReport;
    const resizeTo = (vcpus: number, limits: Partial<ApplianceObservation>): HostSteps["resize"] =>
      decideSteps(
        plan(wanted("web", machine(vcpus))),
        [seen("web", { vm: report, ...limits })],
        new Set(),
        plenty,
      ).resize;
    assert.deepEqual(resizeTo(2, { diskLimits: disk }), []);
    const settings = { vm: { vcpus: 3, disk } };
    assert.deepEqual(resizeTo(3, { diskLimits: disk }), [{ id: id("web"), settings }]);
    assert.deepEqual(resizeTo(2, {}), [{ id: id("web"), settings: { vm: { vcpus: 2, disk } } }]);
  });
});

const reserved = (ms: number): { cpu: CpuRequest } => ({
  cpu: { kind: "reservation", periodUs: micros(40_000), executionUs: micros(ms * 1000) },
});

describe("decideSteps() on changed reservations", () => {
  it("changes all of them at one moment, and each in its other settings by itself", () => {
    const memory = { memoryBytes: mebibytes(64) };
    const steps = decideSteps(
      plan(wanted("web", { ...reserved(24), ...memory }), wanted("db", reserved(8)), wanted("log")),
      [
        seen("web", { ...reserved(16), memoryLimitBytes: mebibytes(32) }),
        seen("db", reserved(16)),
        seen("log"),
      ],
      new Set(),
      plenty,
    );
    const adapt = new Map([
      [id("web"), reserved(24)],
      [id("db"), reserved(8)],
    ]);
    assert.deepEqual(steps, { ...nothing, adapt, resize: [{ id: id("web"), settings: memory }] });
  });

  it("takes from nobody while the one who is to get it waits for room", () => {
    const restart = { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) } as const;
    const desired = plan(wanted("web", reserved(36)), wanted("db", { ...reserved(2), restart }));
    const here = [seen("web", reserved(4)), seen("db", reserved(4))];
    const one = { cpuMilli: milliCpu(1000), memoryBytes: mebibytes(64) };
    const steps = decideSteps(desired, [...here, seen("old", reserved(30))], new Set([id("old")]), one);
    assert.deepEqual([steps.adapt, steps.waiting], [new Map(), [id("web")]]);
    assert.deepEqual(steps.resize, [{ id: id("db"), settings: { restart } }]);
    assert.equal(decideSteps(desired, here, new Set(), one).adapt.size, 2);
  });

  it("tells of another enforcement and of teams, and takes auto and no teams for granted", () => {
    const teams = [{ name: "streams", policy: "together", jobs: [["ffmpeg"]], teams: [] }] as const;
    const now = seen("web", reserved(16));
    const change = (fields: Partial<AppliancePlan>): unknown =>
      decideSteps(plan(wanted("web", { ...reserved(16), ...fields })), [now], new Set(), plenty).adapt.get(
        id("web"),
      );
    assert.deepEqual(change({ enforcement: "bandwidth" }), { enforcement: "bandwidth" });
    assert.deepEqual(change({ teams }), { teams });
    assert.equal(change({ enforcement: "auto", teams: [] }), undefined);
  });
});

describe("decideSteps() on what is to be held where it is", () => {
  it("suspends what runs, resumes what is suspended, and leaves alone what is neither", () => {
    const decide = (suspended: boolean, state: ApplianceState): unknown => {
      const one = wanted("web", suspended ? { suspended: true } : {});
      const { suspend, resume } = decideSteps(plan(one), [seen("web", { state })], new Set(), plenty);
      return [suspend, resume];
    };
    assert.deepEqual(decide(true, "running"), [[id("web")], []]);
    assert.deepEqual(decide(false, "suspended"), [[], [id("web")]]);
    const nobody = [[], []];
    assert.deepEqual(decide(true, "suspended"), nobody);
    assert.deepEqual(decide(true, "fenced"), nobody);
    assert.deepEqual(decide(false, "exited"), nobody);
  });
});

describe("decideSteps() on a changed restart policy", () => {
  it("tells the running appliance, without a restart", () => {
    const restart = { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) } as const;
    const steps = decideSteps(plan(wanted("web", { restart })), [seen("web")], new Set(), plenty);
    assert.deepEqual(steps, { ...nothing, resize: [{ id: id("web"), settings: { restart } }] });
  });
});

describe("decideNetwork()", () => {
  it("has ports only for appliances that exist in the wanted generation", () => {
    const one = {
      name: "eth0",
      network: "shop/lan",
      mac: "02:00:00:01:00:02",
      address: "10.64.0.2",
      prefixLength: 24,
    };
    const interfaces = [one as unknown as AppliancePlan["interfaces"][number]];
    const desired = plan(
      wanted("web", { interfaces }),
      wanted("db", { interfaces, generation: "g2" }),
      wanted("new", { interfaces }),
    );
    const network = decideNetwork(desired, [seen("web"), seen("db")]);
    assert.deepEqual(
      network.ports.map((port) => [port.appliance, port.netns]),
      [[id("web"), "/run/netns/web"]],
    );
  });

  it("says of which ports the other end is a guest's", () => {
    const interfaces = [
      { name: "eth0", network: "shop/lan" } as unknown as AppliancePlan["interfaces"][number],
    ];
    const desired = plan(wanted("web", { interfaces }), wanted("db", { interfaces, kind: "vm" }));
    const { ports } = decideNetwork(desired, [seen("web"), seen("db")]);
    assert.deepEqual(
      ports.map((port) => [port.appliance, port.guest]),
      [
        [id("web"), undefined],
        [id("db"), true],
      ],
    );
  });

  it("passes on what traffic of appliances is promised", () => {
    const traffic = [{ appliance: id("web"), macs: [], priority: 0 }];
    assert.deepEqual(decideNetwork({ ...plan(), traffic }, []).traffic, traffic);
    assert.equal(decideNetwork(plan(), []).traffic, undefined);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { bytes, mebibytes, micros, milliCpu, millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { decideNetwork, decideSteps } from "#host/decide.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";

const id = (name: string): ApplianceId => applianceId(ensembleName("shop"), applianceName(name));

const wanted = (name: string, fields: Partial<AppliancePlan> = {}): AppliancePlan => ({
  id: id(name),
  kind: "task",
  generation: "g1",
  command: ["true"],
  env: {},
  files: [],
  restart: { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(1) },
  stopGraceMs: millis(1),
  interfaces: [],
  ...fields,
});

const seen = (name: string, fields: Partial<ApplianceObservation> = {}): ApplianceObservation => ({
  id: id(name),
  generation: "g1",
  state: "running",
  restarts: 0,
  cpuUsedMs: millis(0),
  memoryBytes: bytes(0),
  netns: `/run/netns/${name}`,
  restart: { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(1) },
  stopGraceMs: millis(1),
  ...fields,
});

const plan = (...appliances: AppliancePlan[]): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision: 1,
  appliances,
  segments: [],
  shapedPairs: [],
  tunnels: [],
});

const nothing = { destroy: [], create: [], resize: [] };

describe("decideSteps()", () => {
  it("does not begin what may still run elsewhere, and leaves it alone where it runs", () => {
    assert.deepEqual(decideSteps(plan(wanted("web", { held: true })), [], new Set()).create, []);
    const steps = decideSteps(plan(wanted("web", { held: true })), [seen("web")], new Set());
    assert.deepEqual(steps, { destroy: [], create: [], resize: [] });
  });

  it("does nothing when the host is as planned", () => {
    assert.deepEqual(decideSteps(plan(wanted("web")), [seen("web")], new Set()), nothing);
  });

  it("creates what is missing and destroys what nobody wants", () => {
    const steps = decideSteps(plan(wanted("web")), [seen("db")], new Set());
    assert.deepEqual([steps.create.map((one) => one.id), steps.destroy], [[id("web")], [id("db")]]);
  });

  it("destroys an appliance of another generation first, and creates it once it is gone", () => {
    const desired = plan(wanted("web", { generation: "g2" }));
    const first = decideSteps(desired, [seen("web")], new Set());
    assert.deepEqual([first.destroy, first.create], [[id("web")], []]);
    assert.deepEqual(decideSteps(desired, [seen("web")], new Set([id("web")])), nothing);
    assert.deepEqual(
      decideSteps(desired, [], new Set()).create.map((one) => one.id),
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
    );
    assert.deepEqual(steps, { ...nothing, resize: [{ id: id("web"), settings: { cpu } }] });
  });
});

describe("decideSteps() on a changed restart policy", () => {
  it("tells the running appliance, without a restart", () => {
    const restart = { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) } as const;
    const steps = decideSteps(plan(wanted("web", { restart })), [seen("web")], new Set());
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
});

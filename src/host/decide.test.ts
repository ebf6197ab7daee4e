import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { mebibytes, micros, milliCpu, millis } from "#base/units.ts";
import { decideNetwork, decideSteps } from "#host/decide.ts";
import { applianceIn as id, planned as wanted, seen } from "#host/sample.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";

const plan = (...appliances: AppliancePlan[]): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision: 1,
  appliances,
  segments: [],
  shapedPairs: [],
  tunnels: [],
});

const nothing = { destroy: [], create: [], resize: [], waiting: [] };
const plenty = { cpuMilli: milliCpu(64_000), memoryBytes: mebibytes(64_000) };

describe("decideSteps()", () => {
  it("does not begin what may still run elsewhere, and leaves it alone where it runs", () => {
    assert.deepEqual(decideSteps(plan(wanted("web", { held: true })), [], new Set(), plenty).create, []);
    const steps = decideSteps(plan(wanted("web", { held: true })), [seen("web")], new Set(), plenty);
    assert.deepEqual(steps, nothing);
  });

  it("does nothing when the host is as planned", () => {
    assert.deepEqual(decideSteps(plan(wanted("web")), [seen("web")], new Set(), plenty), nothing);
  });

  it("creates what is missing and destroys what nobody wants", () => {
    const steps = decideSteps(plan(wanted("web")), [seen("db")], new Set(), plenty);
    assert.deepEqual([steps.create.map((one) => one.id), steps.destroy], [[id("web")], [id("db")]]);
  });

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
    assert.deepEqual(steps, { ...nothing, resize: [{ id: id("web"), settings: { cpu } }] });
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
});

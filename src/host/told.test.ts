import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, siteName } from "#base/ids.ts";
import { bytes, micros, millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { Told } from "#host/told.ts";
import type { Standing } from "#host/told.ts";

const observed: ApplianceObservation = {
  id: applianceId(ensembleName("shop"), applianceName("web")),
  generation: "g1",
  state: "running",
  restarts: 0,
  cpuUsedMs: millis(10),
  memoryBytes: bytes(20),
  restart: { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) },
  stopGraceMs: millis(0),
  netns: "/run/netns/web",
};

const standing: Standing = {
  capabilities: ["appliance:task"],
  epoch: 1,
  acceptedRevision: 2,
  convergedRevision: 2,
  problems: [],
  tunnels: [],
};

const toldOf = (what: Standing, appliances: readonly ApplianceObservation[]): Told =>
  new Told(what, { observed: appliances, appliances });

describe("Told", () => {
  it("holds while only measurements change", () => {
    const told = toldOf(standing, [observed]);
    assert.equal(
      told.holds({ ...standing, problems: [], capabilities: ["appliance:task"] }, [observed]),
      true,
    );
    assert.equal(
      told.holds(standing, [{ ...observed, cpuUsedMs: millis(11), memoryBytes: bytes(21) }]),
      true,
    );
  });

  it("does not hold once anything else is another, is more, or is gone", () => {
    const full: Standing = {
      ...standing,
      tunnelPublicKey: "key",
      blobPort: 1,
      jobs: [],
      checkpoints: [],
      checkpointRequests: [],
      blobs: [],
      transfers: [],
      imports: [],
    };
    const told = toldOf(full, [observed]);
    assert.equal(told.holds(full, [observed]), true);
    for (const [name, value] of Object.entries(full)) {
      const other =
        typeof value === "number" ? value + 1 : typeof value === "string" ? `${value}x` : ["more"];
      assert.equal(told.holds({ ...full, [name]: other }, [observed]), false, name);
    }
    const details = {
      id: applianceId(ensembleName("shop"), applianceName("db")),
      generation: "g2",
      state: "fenced",
      restarts: 1,
      startedAt: millis(1),
      exitCode: 1,
      message: "why",
      leased: true,
      scheduling: { enforcement: "dispatch", latestUs: micros(1) },
    } as const;
    for (const [name, value] of Object.entries(details)) {
      assert.equal(told.holds(full, [{ ...observed, [name]: value }]), false, name);
    }
    assert.equal(told.holds(full, []), false);
    assert.equal(told.holds(full, [observed, observed]), false);
  });

  it("notices what is changed in place", () => {
    const tunnel = { peerSite: siteName("north"), kind: "wireguard", up: true };
    const stages: { stage: string; tookMs: ReturnType<typeof millis> }[] = [];
    const vm = {
      machine: "microvm",
      accel: "tcg",
      start: "cold",
      vcpus: 1,
      memoryBytes: bytes(1),
      agent: "none",
      stages,
    } as const;
    const now = { ...standing, tunnels: [tunnel] };
    const machine = { ...observed, vm };
    const told = toldOf(now, [machine]);
    assert.equal(told.holds(now, [machine]), true);
    tunnel.up = false;
    assert.equal(told.holds(now, [machine]), false);
    tunnel.up = true;
    stages.push({ stage: "boot", tookMs: millis(1) });
    assert.equal(told.holds(now, [machine]), false);
  });
});

import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { bytes, millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

/** An appliance of the ensemble "shop". */
export const applianceIn = (name: string): ApplianceId =>
  applianceId(ensembleName("shop"), applianceName(name));

/** As a host plan has it; a test names only what it is about. */
export const planned = (name: string, fields: Partial<AppliancePlan> = {}): AppliancePlan => ({
  id: applianceIn(name),
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

/** As a driver shows it. */
export const seen = (name: string, fields: Partial<ApplianceObservation> = {}): ApplianceObservation => ({
  id: applianceIn(name),
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

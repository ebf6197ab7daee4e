import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { describe } from "./describe.ts";
import type { MachineFacts } from "./describe.ts";
import { beforeGuest } from "./guest-state.ts";

const slot = (state: string): ApplianceObservation =>
  ({ state, exitCode: 1, message: "Its command ended with exit code 1" }) as unknown as ApplianceObservation;

/** Of a machine whose QEMU has ended; `up`: its guest had run by then. */
function facts(change: { move?: object; up?: boolean; output?: string }): MachineFacts {
  const { move, up = false, output = "" } = change;
  const vm = { base: { features: [] }, ...(move === undefined ? {} : { move }) };
  return {
    record: { plan: { interfaces: [], vm }, identity: {}, stages: [], run: { number: 1, up } },
    run: 1,
    guest: beforeGuest,
    agent: { expected: false, answered: false, answers: () => false },
    output,
    told: {},
    problem: undefined,
    move: undefined,
    isElsewhere: false,
  } as unknown as MachineFacts;
}

test("a guest that fills its host's disk is told of as held in that run, and not one that somebody else stopped", () => {
  const said = (heldInRun: number, status: string): string | undefined => {
    const all = facts({ up: true });
    const record = { ...all.record, heldInRun };
    return describe(slot("running"), { ...all, record, guest: { ...beforeGuest, status } }).message;
  };
  assert.match(said(1, "paused") ?? "", /^Its guest is held until there is room again/);
  for (const message of [said(1, "running"), said(0, "paused")]) assert.doesNotMatch(message ?? "", /held/);
});

const arriving = { side: "arriving", move: "one" };
const panicked = "Its guest panicked, or QEMU failed (exit code 1)";

test("a QEMU that ended with exit code 1 is told of by what it waited for, or did", () => {
  const said = (state: string, change: Parameters<typeof facts>[0]): string | undefined =>
    describe(slot(state), facts(change)).message;
  assert.equal(said("failed", { up: true }), panicked);
  assert.equal(said("failed", { output: "qemu-system-x86_64: no such disk\n" }), "QEMU: no such disk");
  for (const state of ["failed", "backoff", "stopping"]) {
    assert.equal(said(state, { move: arriving }), "Its move ended before it ran here");
    assert.equal(
      said(state, { move: arriving, output: "qemu-system-x86_64: load of migration failed\n" }),
      "Its move ended before it ran here (QEMU: load of migration failed)",
    );
    assert.equal(said(state, { move: arriving, up: true }), panicked);
  }
});

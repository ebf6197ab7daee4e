import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleGuest, exampleHost, examplePlan } from "./example-plan.ts";
import { forwardingChange, wantedEntries } from "./forwarding-change.ts";
import { everyone } from "./kernel/forwarding.ts";

const here = exampleGuest(1);
const there = exampleGuest(2, "172.30.0.2");
const moved = exampleGuest(2, "172.30.0.3");
const entriesOf = (...members: ReturnType<typeof exampleGuest>[]) => {
  const [segment] = examplePlan(members).segments;
  assert.ok(segment);
  return wantedEntries(segment, exampleHost);
};

test("broadcasts go to every peer, frames for a remote member to its host, local ones nowhere", () => {
  assert.deepEqual(entriesOf(here, there), [
    { mac: everyone, destination: "172.30.0.2" },
    { mac: there.mac, destination: "172.30.0.2" },
  ]);
});

test("a member that moved is redirected without a gap, and broadcasts leave its old host", () => {
  assert.deepEqual(forwardingChange(entriesOf(here, moved), entriesOf(here, there)), {
    added: [
      { mac: everyone, destination: "172.30.0.3" },
      { mac: moved.mac, destination: "172.30.0.3" },
    ],
    removed: [{ mac: everyone, destination: "172.30.0.2" }],
  });
});

test("what is right is left alone, what is gone is removed", () => {
  const entries = entriesOf(here, there);
  assert.deepEqual(forwardingChange(entries, entries), { added: [], removed: [] });
  assert.deepEqual(forwardingChange([], entries), { added: [], removed: entries });
});

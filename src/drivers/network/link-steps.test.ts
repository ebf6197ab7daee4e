import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exampleGuest, examplePlan } from "./example-plan.ts";
import { linkSteps, wantedLinks } from "./link-steps.ts";
import type { FoundLink, LinkStep, WantedLink } from "./link-steps.ts";

const around = {
  mark: "cst",
  local: "172.30.0.1",
  isFar: (peer: string) => !peer.startsWith("172.30.0."),
  sortsArrivals: false,
};
const wantedFor = (...numbers: number[]): readonly WantedLink[] =>
  wantedLinks(examplePlan(numbers.map((number) => exampleGuest(number))), around);

/** What the kernel shows after all steps were carried out. */
function carriedOut(
  found: ReadonlyMap<string, FoundLink>,
  steps: readonly LinkStep[],
): ReadonlyMap<string, FoundLink> {
  const after = new Map(found);
  const wanted = steps.flatMap((step) => (step.step === "remove" ? [] : [step.link]));
  for (const step of steps) if (step.step === "remove") after.delete(step.name);
  let index = Math.max(100, ...[...found.values()].map((link) => link.index)) + 1;
  for (const link of wanted) {
    const master = "bridge" in link ? (after.get(link.bridge)?.index ?? -1) : 0;
    const { name, kind, mtu, alias } = link;
    const known = after.get(name)?.index ?? (index += 1);
    after.set(name, { name, kind, mtu, alias, master, index: known, up: true, mac: "", leaving: false });
  }
  return after;
}

const verbs = (steps: readonly LinkStep[]): readonly string[] =>
  steps.map((step) => `${step.step} ${step.step === "remove" ? step.name : step.link.kind}`);

test("from nothing, a bridge is made before what goes into it", () => {
  assert.deepEqual(verbs(linkSteps(wantedFor(1), new Map())), ["make bridge", "make vxlan", "make veth"]);
});

test("what matches is left alone", () => {
  const wanted = wantedFor(1, 2);
  const found = carriedOut(new Map(), linkSteps(wanted, new Map()));
  assert.deepEqual(linkSteps(wanted, found), []);
});

test("a link that is not complete is finished or made again", () => {
  const wanted = wantedFor(1);
  const found = new Map(carriedOut(new Map(), linkSteps(wanted, new Map())));
  for (const link of found.values()) if (link.kind === "veth") found.set(link.name, { ...link, alias: "" });
  assert.deepEqual(
    verbs(linkSteps(wanted, found)).map((verb) => verb.split(" ")[0]),
    ["remove", "make"],
  );
  for (const link of found.values()) if (link.kind === "bridge") found.set(link.name, { ...link, alias: "" });
  assert.ok(verbs(linkSteps(wanted, found)).includes("finish bridge"));
});

test("a port whose appliance got a new namespace is made again", () => {
  const wanted = wantedFor(1);
  const found = new Map(carriedOut(new Map(), linkSteps(wanted, new Map())));
  for (const link of found.values()) {
    if (link.kind === "veth") found.set(link.name, { ...link, otherEndElsewhere: true });
  }
  assert.deepEqual(
    linkSteps(wanted, found).map((step) => step.step),
    ["remove", "make"],
  );
});

test("a link that was on its way out when the driver died is made again", () => {
  const wanted = wantedFor(1);
  const found = new Map(carriedOut(new Map(), linkSteps(wanted, new Map())));
  for (const link of found.values()) {
    if (link.kind === "vxlan") found.set(link.name, { ...link, leaving: true });
  }
  assert.deepEqual(
    linkSteps(wanted, found).map((step) => step.step),
    ["remove", "make"],
  );
});

test("a segment with a peer beyond a router does without offload", () => {
  const far = wantedLinks(examplePlan([exampleGuest(1), exampleGuest(2, "172.30.9.1")]), around);
  const near = wantedLinks(examplePlan([exampleGuest(1), exampleGuest(2, "172.30.0.2")]), around);
  const offload = (links: readonly WantedLink[]) =>
    links.flatMap((link) => (link.kind === "vxlan" ? [link.offload] : []));
  assert.deepEqual(offload(far), [false]);
  assert.deepEqual(offload(near), [true]);
  const found = carriedOut(new Map(), linkSteps(near, new Map()));
  assert.deepEqual(verbs(linkSteps(far, found)), ["finish vxlan"], "and is not made again for it");
});

test("from any state to any plan: one round of steps, then none", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 });
  fc.assert(
    fc.property(numbers, numbers, fc.boolean(), (before, after, damaged) => {
      const found = new Map(carriedOut(new Map(), linkSteps(wantedFor(...before), new Map())));
      if (damaged)
        for (const link of [...found.values()].slice(1)) found.set(link.name, { ...link, up: false });
      const wanted = wantedFor(...after);
      const settled = carriedOut(found, linkSteps(wanted, found));
      assert.deepEqual(linkSteps(wanted, settled), []);
      assert.deepEqual([...settled.keys()].toSorted(), wanted.map((link) => link.name).toSorted());
    }),
  );
});

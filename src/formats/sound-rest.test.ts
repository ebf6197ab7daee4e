import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnsemble } from "#formats/ensemble.ts";

/** Where problems are told, in their order. */
function placesIn(text: string): readonly string[] {
  const parsed = parseEnsemble(text, { file: "shop.yaml" });
  return parsed.ok ? [] : parsed.problems.map(({ line, path }) => `${line} ${path}`);
}

test("problems of form and of meaning are told at once, in the order of the file", () => {
  const text = `ensemble: Shop
appliances:
  web: {command: a, memroy: 64MiB}
  db: {kind: vm, vm: {vcpus: 4, vcpusMax: 2}}
  log: {command: a, networks: [lna]}
links:
  - {between: [web, db], bandwidth: 10MB}
  - {between: [web, ghost]}
secret: 1
`;
  assert.deepEqual(placesIn(text), [
    "1 ensemble",
    "3 appliances.web.memroy",
    "4 appliances.db.vm.vcpusMax",
    "5 appliances.log.networks[0]",
    "7 links[0].bandwidth",
    "8 links[1].between[1]",
    "9 secret",
  ]);
});

test("what might only be wrong because something else is left out is not told", () => {
  const text = `ensemble: shop
appliances:
  web: {comand: a}
  db: {command: a, cpu: {period: 40ms, execution: all}}
monitors:
  late: {appliance: db, scheduling: true}
strategies:
  more: {when: late.misses > 1, then: move 1ms from db to web}
`;
  assert.deepEqual(placesIn(text), ["3 appliances.web.comand", "4 appliances.db.cpu.execution"]);
});

test("where the rest would mean something else, problems of form are told alone", () => {
  const text = `ensemble: shop
appliances:
  web: {command: a, replicas: many}
links:
  - {between: [web-1, web-2]}
  - {between: [web, ghost]}
`;
  assert.deepEqual(placesIn(text), ["3 appliances.web.replicas"]);
});

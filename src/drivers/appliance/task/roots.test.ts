import assert from "node:assert/strict";
import { test } from "node:test";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { hiddenBelow, rootOf } from "#drivers/appliance/task/roots.ts";

const hidden = ["/root", "/var/lib/consort", "/var/log"];

test("rootOf() takes the host's own root unless an image names a directory", () => {
  const plan = conformancePlan({ command: ["true"] });
  assert.equal(rootOf(plan), "/");
  assert.equal(rootOf({ ...plan, image: "dir:///srv/web" }), "/srv/web");
  for (const image of ["web.tar", "dir://srv", "dir:///a:b", "dir:///a,b"]) {
    assert.throws(() => rootOf({ ...plan, image }), { code: "unsupported" }, image);
  }
});

test("hiddenBelow() hides the same directories under whatever root they come to light", () => {
  assert.deepEqual(hiddenBelow("/", hidden), hidden);
  assert.deepEqual(hiddenBelow("/var", hidden), ["/lib/consort", "/log"]);
  assert.deepEqual(hiddenBelow("/srv/web", hidden), []);
});

test("hiddenBelow() knows a root that lies in a hidden directory, and one that only begins like it", () => {
  assert.equal(hiddenBelow("/root", hidden), undefined);
  assert.equal(hiddenBelow("/var/lib/consort/slots", hidden), undefined);
  assert.deepEqual(hiddenBelow("/rootfs", hidden), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { checkLabName, checkNodeName, netnsMark, netnsName } from "#lab/names.ts";
import { mountPoints } from "#lab/remove.ts";

const isAllowed = (check: (name: string) => void, name: string): boolean => {
  try {
    check(name);
    return true;
  } catch {
    return false;
  }
};
const labName = fc.stringMatching(/^[a-z0-9_.-]{1,18}$/).filter((name) => isAllowed(checkLabName, name));
const nodeName = fc.stringMatching(/^[a-z0-9_.-]{1,18}$/).filter((name) => isAllowed(checkNodeName, name));

test("no lab's namespaces bear another lab's mark", () => {
  fc.assert(
    fc.property(labName, labName, nodeName, (mine, other, node) => {
      assert.equal(netnsName(other, node).startsWith(netnsMark(mine)), mine === other);
    }),
  );
});

test("names that would break marks or paths are refused", () => {
  for (const name of ["", "a-b", "A", "1a", "a/b", "..", "a.b", "a".repeat(17)]) {
    assert.throws(() => checkLabName(name), { code: "bad_input" }, name);
  }
  for (const name of ["", "a.b", "a/b", "A", "-a"]) {
    assert.throws(() => checkNodeName(name), { code: "bad_input" }, name);
  }
});

test("mount points are read in order, with their spaces", () => {
  const text = "1 0 8:1 / / rw - ext4 x rw\n2 1 0:5 / /run/a\\040b rw shared:1 - tmpfs t rw\n";
  assert.deepEqual(mountPoints(text), ["/", "/run/a b"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, mebibytes } from "#base/units.ts";
import type { Image } from "#model/image.ts";
import { shapeKey, shapeOfFile, shapesOf } from "./shapes.ts";

const inMemory: Image = {
  name: "tiny",
  role: "base",
  architecture: "amd64",
  features: [],
  registeredAtMs: 0,
};
const onDisk: Image = {
  ...inMemory,
  disk: {
    digest: `sha256:${"0".repeat(64)}`,
    sizeBytes: bytes(1),
    format: "raw",
    virtualBytes: bytes(1234567),
  },
};

test("a machine that is all in memory writes into nothing of its own", () => {
  assert.deepEqual(shapesOf({ base: inMemory }), []);
});

test("a root is as large as its base image, home and swap are whole MiB", () => {
  assert.deepEqual(shapesOf({ base: onDisk, homeBytes: bytes(1), swapBytes: mebibytes(3) }), [
    { kind: "root", sizeBytes: 1234567 },
    { kind: "home", sizeBytes: 1048576 },
    { kind: "swap", sizeBytes: 3145728 },
  ]);
});

test("files of the spool tell their shape, and nothing else does", () => {
  const shape = { kind: "home", sizeBytes: 1048576 } as const;
  assert.deepEqual(shapeOfFile(`${shapeKey(shape)}-00ff.qcow2`), shape);
  for (const name of ["home-1048576-00ff.qcow2.raw", "home--1-0.qcow2", "../home-1-0.qcow2", "image.qcow2"])
    assert.equal(shapeOfFile(name), undefined, name);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { withAllOptional } from "../../tools/lock-file.ts";

const lock = (packages: object): string => JSON.stringify({ lockfileVersion: 3, packages });

test("an optional package that the lock file lacks gets an entry for the system in its name", () => {
  const tool = {
    version: "1.0.0",
    dev: true,
    optionalDependencies: { "@tool/binding-linux-arm64-musl": "1.0.0", "@tool/win32-x64": "1.0.1" },
  };
  const { packages } = JSON.parse(withAllOptional(lock({ "": {}, "node_modules/tool": tool }))) as {
    packages: Record<string, unknown>;
  };
  const dev = { dev: true, optional: true };
  assert.deepEqual(packages, {
    "": {},
    "node_modules/@tool/binding-linux-arm64-musl": {
      ...dev,
      version: "1.0.0",
      cpu: ["arm64"],
      libc: ["musl"],
      os: ["linux"],
    },
    "node_modules/@tool/win32-x64": { ...dev, version: "1.0.1", cpu: ["x64"], os: ["win32"] },
    "node_modules/tool": tool,
  });
});

test("what is there, also within another package, stays as it is", () => {
  const complete = lock({
    "node_modules/one": { version: "1.0.0", optionalDependencies: { near: "2.0.0", far: "1.0.0" } },
    "node_modules/one/node_modules/near": { version: "2.0.0" },
    "node_modules/far": { version: "1.0.0" },
  });
  const { packages } = JSON.parse(withAllOptional(complete)) as { packages: unknown };
  assert.deepEqual(packages, (JSON.parse(complete) as { packages: unknown }).packages);
});

test("a package whose name tells no system is not guessed at", () => {
  const incomplete = lock({ "node_modules/one": { optionalDependencies: { fsevents: "2.0.0" } } });
  assert.throws(() => withAllOptional(incomplete), /fsevents is not in it/);
});

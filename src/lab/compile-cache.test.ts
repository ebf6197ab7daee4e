import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { compileCacheDir, fillCompileCache } from "#lab/compile-cache.ts";

const { signal } = new AbortController();
const clock = systemClock();

describe("fillCompileCache()", () => {
  let root = "";
  let fillings = 0;
  let fails = false;
  const subprocess = {
    ...systemSubprocess(),
    check: (): Promise<string> => {
      fillings += 1;
      return fails ? Promise.reject(new Error("no room")) : Promise.resolve("");
    },
  };
  const machine = {
    clock,
    log: silentLog,
    random: systemRandom(),
    subprocess,
    cgroups: systemCgroups(clock),
  };
  const fill = (): Promise<void> =>
    fillCompileCache({ nodePath: process.execPath, sourceRoot: join(root, "src") }, machine, signal);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "consort-cache-"));
    fillings = 0;
    fails = false;
    mkdirSync(join(root, "src"));
    mkdirSync(compileCacheDir(join(root, "src")), { recursive: true });
    writeFileSync(join(root, "src", "one.ts"), "");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("fills it once, and again when a source was added", async () => {
    await fill();
    await fill();
    assert.equal(fillings, 1);
    writeFileSync(join(root, "src", "two.ts"), "");
    await fill();
    assert.equal(fillings, 2);
  });

  it("does not care for tests, which managers never load", async () => {
    await fill();
    writeFileSync(join(root, "src", "one.test.ts"), "");
    await fill();
    assert.equal(fillings, 1);
  });

  it("lets managers start without it, and tries again the next time", async () => {
    fails = true;
    await fill();
    fails = false;
    await fill();
    assert.equal(fillings, 2);
  });
});

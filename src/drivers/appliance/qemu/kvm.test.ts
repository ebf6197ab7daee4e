import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { ProbedAcceleration } from "./acceleration.ts";
import { triedOncePerBoot } from "./kvm.ts";

const id = applianceId(ensembleName("shop"), applianceName("db"));

test("triedOncePerBoot() runs no second guest before the machine is booted again, and one after a torn answer", async () => {
  const directory = mkdtempSync(join(tmpdir(), "kvm-"));
  let trials = 0;
  const tried = (boot: string, runs: boolean): Promise<boolean> =>
    triedOncePerBoot(directory, boot, () => {
      trials += 1;
      return Promise.resolve(runs);
    })();
  try {
    assert.equal(await tried("monday", true), true);
    assert.equal(await tried("monday", false), true);
    assert.equal(trials, 1);
    assert.equal(await tried("tuesday", false), false);
    writeFileSync(join(directory, "kvm.json"), "{");
    assert.equal(await tried("tuesday", true), true);
    assert.equal(trials, 3);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("ProbedAcceleration takes KVM only where a guest ran, and refuses it where it was asked for and none did", async () => {
  const without = new ProbedAcceleration(() => Promise.resolve(false));
  assert.equal(await without.choose(id, "auto"), "tcg");
  await assert.rejects(without.choose(id, "kvm"), { code: "unsupported" });
  let trials = 0;
  const having = new ProbedAcceleration(() => {
    trials += 1;
    return Promise.resolve(true);
  });
  assert.equal(await having.choose(id, "tcg"), "tcg");
  assert.equal(having.kvm, false);
  assert.deepEqual(await Promise.all([having.choose(id, "auto"), having.choose(id, "kvm")]), ["kvm", "kvm"]);
  assert.deepEqual([having.kvm, trials], [true, 1]);
});

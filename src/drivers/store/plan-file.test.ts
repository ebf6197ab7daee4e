import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { planFile } from "#drivers/store/plan-file.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

const never = new AbortController().signal;
const plan = (revision: number): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision,
  appliances: [],
  segments: [],
  shapedPairs: [],
  tunnels: [],
});

describe("planFile()", async () => {
  const directory = await mkdtemp(join(tmpdir(), "consort-plan-file-"));
  after(() => rm(directory, { recursive: true }));

  it("has nothing before the first plan, then the newest one", async () => {
    const keeper = planFile(join(directory, "new", "plan.json"));
    assert.equal(await keeper.load(never), undefined);
    await keeper.save(plan(1), never);
    await keeper.save(plan(2), never);
    assert.deepEqual(await keeper.load(never), plan(2));
    assert.deepEqual(await readdir(join(directory, "new")), ["plan.json"]);
  });

  it("is not disturbed by the half-written file of a dead process", async () => {
    const path = join(directory, "plan.json");
    await planFile(path).save(plan(1), never);
    await writeFile(`${path}.new`, '{"host":');
    assert.deepEqual(await planFile(path).load(never), plan(1));
    await planFile(path).save(plan(3), never);
    assert.deepEqual(await planFile(path).load(never), plan(3));
  });
});

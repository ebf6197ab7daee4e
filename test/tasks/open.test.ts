import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { megabitsPerSecond, openTaskHost } from "consort/tasks";

test("a host that cannot be opened leaves neither groups nor files, and what is opened next works", async () => {
  const cgroupParent = `consort-test-tasks-${process.pid}`;
  const bandwidthBps = megabitsPerSecond(10);
  await assert.rejects(
    openTaskHost({ cgroupParent, network: { interface: "no-such-link", bandwidthBps } }),
    /there is no such interface/,
  );
  for (const tree of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"])
    assert.ok(!existsSync(`${tree}/${cgroupParent}`), `${tree}/${cgroupParent} is left`);
  const mine = readdirSync(tmpdir()).filter((name) => name.startsWith(`consort-tasks-${process.pid}-`));
  assert.deepEqual(mine, []);
  await using host = await openTaskHost({ cgroupParent });
  assert.equal(host.createMachine({ name: "m" }).name, "m");
});

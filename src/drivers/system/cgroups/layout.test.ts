import assert from "node:assert/strict";
import { test } from "node:test";
import { cgroupLayout } from "#drivers/system/cgroups/layout.ts";

const hybrid = [
  "27 1 254:0 / / rw - ext4 /dev/vda rw",
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
  "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd",
  "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
].join("\n");

test("cgroupLayout() finds each controller of a hybrid machine in its own tree", () => {
  assert.deepEqual(
    cgroupLayout(hybrid, () => "hugetlb pids\n"),
    {
      v1: {
        cpu: "/sys/fs/cgroup/cpu,cpuacct",
        cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
        memory: "/sys/fs/cgroup/memory",
      },
      v2: "/sys/fs/cgroup/unified",
      v2Controllers: ["pids"],
    },
  );
});

test("cgroupLayout() takes what the one tree of a v2 machine carries", () => {
  const layout = cgroupLayout("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw", (v2) => {
    assert.equal(v2, "/sys/fs/cgroup");
    return "cpuset cpu io memory pids\n";
  });
  assert.deepEqual(layout, { v1: {}, v2: "/sys/fs/cgroup", v2Controllers: ["cpu", "memory", "pids"] });
});

test("cgroupLayout() ignores a mount that shows only a part of a tree, and reads escaped spaces", () => {
  const text = [
    "35 31 0:32 /docker/1 /elsewhere rw - cgroup cgroup rw,memory",
    "36 31 0:33 / /a\\040b rw - cgroup cgroup rw,pids",
  ].join("\n");
  assert.deepEqual(
    cgroupLayout(text, () => ""),
    { v1: { pids: "/a b" }, v2Controllers: [] },
  );
});

import { micros } from "#base/units.ts";
import { acceptableQuota, clamp, keyedNumber } from "#drivers/system/cgroups/dialect.ts";
import type { Dialect } from "#drivers/system/cgroups/dialect.ts";

const weightPerCore = 100;

/** cgroup v2: one tree. */
export const v2: Dialect = {
  cpuQuota(limit) {
    if (limit === "max") return [{ file: "cpu.max", value: "max" }];
    const { quotaUs, periodUs } = acceptableQuota(limit);
    return [{ file: "cpu.max", value: `${quotaUs} ${periodUs}` }];
  },
  cpuWeight: (share) => ({
    file: "cpu.weight",
    value: String(clamp(Math.round((share * weightPerCore) / 1000), 1, 10_000)),
  }),
  // Without the second write a group at its limit would go on in swap, where there is any.
  memory: (limit) => [
    { file: "memory.max", value: String(limit) },
    { file: "memory.swap.max", value: limit === "max" ? "max" : "0" },
  ],
  pids: (limit) => ({ file: "pids.max", value: String(limit) }),
  frozen: { file: "cgroup.freeze", value: "1" },
  thawed: { file: "cgroup.freeze", value: "0" },
  cpuUsageFile: "cpu.stat",
  cpuUsageUs: (text) => micros(keyedNumber(text, "usage_usec")),
  memoryUsageFile: "memory.current",
  oomFile: "memory.events",
};

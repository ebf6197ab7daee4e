import { micros } from "#base/units.ts";
import { acceptableQuota, clamp } from "#drivers/system/cgroups/dialect.ts";
import type { Dialect } from "#drivers/system/cgroups/dialect.ts";

const sharesPerCore = 1024;

/** cgroup v1: a tree per controller. */
export const v1: Dialect = {
  cpuQuota(limit, previousPeriodUs) {
    if (limit === "max") return [{ file: "cpu.cfs_quota_us", value: "-1" }];
    const { quotaUs, periodUs } = acceptableQuota(limit);
    const quota = { file: "cpu.cfs_quota_us", value: String(quotaUs) };
    if (periodUs === previousPeriodUs) return [quota];
    // The two are separate writes, and a new period with the old quota may exceed the parent's ratio, which the
    // kernel refuses: pass through "no limit of its own", which it never refuses.
    return [
      { file: "cpu.cfs_quota_us", value: "-1" },
      { file: "cpu.cfs_period_us", value: String(periodUs) },
      quota,
    ];
  },
  cpuWeight: (share) => ({
    file: "cpu.shares",
    value: String(clamp(Math.round((share * sharesPerCore) / 1000), 2, 262_144)),
  }),
  memory: (limit) => [{ file: "memory.limit_in_bytes", value: limit === "max" ? "-1" : String(limit) }],
  pids: (limit) => ({ file: "pids.max", value: String(limit) }),
  frozen: { file: "freezer.state", value: "FROZEN" },
  thawed: { file: "freezer.state", value: "THAWED" },
  cpuUsageFile: "cpuacct.usage",
  cpuUsageUs: (text) => micros(Number(text) / 1000),
  memoryUsageFile: "memory.usage_in_bytes",
  oomFile: "memory.oom_control",
};

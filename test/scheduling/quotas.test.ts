import assert from "node:assert/strict";
import { after, test } from "node:test";
import { micros } from "#base/units.ts";
import { BandwidthEnforcer } from "#drivers/scheduling/bandwidth/enforcer.ts";
import type { EnforcedMachine } from "#drivers/scheduling/port.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { BusyMachines, clock, layout } from "./rig.ts";

const of40 = (ms: number) => ({ periodUs: micros(40_000), executionUs: micros(ms * 1000) });

test(
  "of quotas that the kernel refuses half-way nothing is left once they are taken back",
  { skip: layout.v1.cpu === undefined },
  async () => {
    const machines = new BusyMachines();
    after(() => machines[Symbol.asyncDispose]());
    const jobs = [machines.job("refused")];
    const cgroup = machines.cgroup("refused") ?? "";
    const team = systemCgroups(clock, layout).open(`${cgroup}/team`);
    team.create();
    const weights = new GroupWeights(layout, machines.mark);
    const enforcer = new BandwidthEnforcer({ layout, weights, processors: 1 });
    const machine: EnforcedMachine = {
      id: "refused",
      reservation: of40(10),
      policy: "together",
      jobs,
      teams: [
        {
          name: "wide",
          // Version 1 gives no group more than the one above it has.
          reservation: of40(20),
          policy: "together",
          jobs: [],
          teams: [],
          cgroup: team.path,
        },
      ],
      suspended: false,
      cgroup,
    };
    assert.throws(() => enforcer.apply([machine]), /Cannot write/);
    enforcer.apply([]);
    assert.equal(machines.limit("refused"), undefined);
    await enforcer.close();
  },
);

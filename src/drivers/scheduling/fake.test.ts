import { enforcerConformance } from "./conformance.ts";
import { FakeEnforcer } from "./fake.ts";

/** What a machine gets that nothing holds. */
const all = 1;

enforcerConformance("fake", async () => {
  const enforcer = new FakeEnforcer("bandwidth");
  return {
    enforcer,
    job: (machine) => ({ kind: "cgroup", path: `${machine}/job` }),
    cgroup: (machine) => machine,
    settled: async () => {},
    share: async (machine) => enforcer.shareOf(machine) ?? all,
    isFree: async (machine) => enforcer.shareOf(machine) === undefined,
    successor: () => undefined,
    close: () => enforcer.close(),
  };
});

import { conformanceHas, promisesConformance } from "./conformance.ts";
import { FakePromises } from "./fake.ts";

promisesConformance("fake", () => {
  const machine = new FakePromises(conformanceHas);
  let programs = 0;
  return {
    program: () => {
      programs += 1;
      const ledger = machine.of(`program ${programs}`);
      return { ledger, ends: () => ledger.close() };
    },
  };
});

import { processesConformance } from "./conformance.ts";
import { FakeProcesses } from "./fake.ts";

processesConformance("fake", () => new FakeProcesses());

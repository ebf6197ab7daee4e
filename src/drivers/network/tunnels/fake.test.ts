import { tunnelConformance } from "./conformance.ts";
import { FakeTunnelDriver } from "./fake.ts";
import type { FakeGatewayState } from "./fake.ts";

const state: FakeGatewayState = { plans: [] };
tunnelConformance("the fake", { open: () => Promise.resolve(new FakeTunnelDriver("gateway", state)) });

import { after, before } from "node:test";
import { tunnelConformance } from "#drivers/network/tunnels/conformance.ts";
import { TwoSites } from "./two-sites.ts";

let sites: TwoSites;
before(async () => {
  sites = await TwoSites.make();
});
after(() => sites[Symbol.asyncDispose]());

tunnelConformance("the gateway driver", { open: () => Promise.resolve(sites.gateways.a) });

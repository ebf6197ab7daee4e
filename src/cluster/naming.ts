import { parseNetwork } from "#base/ipv4.ts";
import type { EnsembleName } from "#base/ids.ts";
import { memberMac } from "#cluster/allocation.ts";
import type { NetworkAllocation } from "#cluster/records.ts";
import type { NamingPlan } from "#protocol/host-plan.ts";
import { domainOf, namingAddressIn, namingNumber } from "#protocol/naming-address.ts";

/** Who answers for a network's addresses and names, on every host by itself. */
export function namingPlan(ensemble: EnsembleName, { vni, subnet }: NetworkAllocation): NamingPlan {
  return {
    address: namingAddressIn(subnet),
    mac: memberMac(vni, namingNumber),
    prefixLength: parseNetwork(subnet).prefixLength,
    domain: domainOf(ensemble),
  };
}

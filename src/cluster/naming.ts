import { addressText, parseNetwork } from "#base/ipv4.ts";
import type { EnsembleName } from "#base/ids.ts";
import { memberMac, namingNumber } from "#cluster/allocation.ts";
import type { NetworkAllocation } from "#cluster/records.ts";
import type { NamingPlan } from "#protocol/host-plan.ts";

/** Who answers for a network's addresses and names: its first address, which no member ever has. */
export function namingPlan(ensemble: EnsembleName, { vni, subnet }: NetworkAllocation): NamingPlan {
  const { base, prefixLength } = parseNetwork(subnet);
  return {
    address: addressText(base + namingNumber),
    mac: memberMac(vni, namingNumber),
    prefixLength,
    domain: `${ensemble}.consort`,
  };
}

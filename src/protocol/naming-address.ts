import type { Ipv4Address } from "#base/ids.ts";
import { addressText, parseNetwork } from "#base/ipv4.ts";

/** Of the address and the MAC at which a network's addresses and names are asked for. */
export const namingNumber = 1;

/** A network's first address: no member ever has it. `subnet`: in CIDR, or any address of it with the prefix length. */
export function namingAddressIn(subnet: string): Ipv4Address {
  return addressText(parseNetwork(subnet).base + namingNumber);
}

/** What the names of an ensemble end with. */
export const domainOf = (ensemble: string): string => `${ensemble}.consort`;

/**
 * Where every host answers questions for "<appliance>.<ensemble>.consort" to its own programs, at port 53. Of the
 * loopback, and of nobody else there: resolvers use 127.0.0.53 and 127.0.0.54.
 */
export const namesAddress = "127.0.77.53";

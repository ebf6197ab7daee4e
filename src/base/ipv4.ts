import { ipv4Address } from "#base/ids.ts";
import type { Ipv4Address } from "#base/ids.ts";

/** An IPv4 network; `base` has its host bits zero. */
export type Ipv4Network = { readonly base: number; readonly prefixLength: number };

export function addressNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function addressText(value: number): Ipv4Address {
  return ipv4Address([24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join("."));
}

/** "10.1.2.0/24"; the caller has checked its form. */
export function parseNetwork(cidr: string): Ipv4Network {
  const [address = "", prefix = "32"] = cidr.split("/");
  const prefixLength = Number(prefix);
  const size = 2 ** (32 - prefixLength);
  return { base: Math.floor(addressNumber(address) / size) * size, prefixLength };
}

export function networkText(network: Ipv4Network): string {
  return `${addressText(network.base)}/${network.prefixLength}`;
}

export function networksOverlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return a.base < b.base + 2 ** (32 - b.prefixLength) && b.base < a.base + 2 ** (32 - a.prefixLength);
}

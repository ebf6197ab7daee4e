import type { MacAddress } from "#base/ids.ts";

/**
 * Kernel names of what this driver makes, at most 15 characters, derived from identities that are unique in the
 * cloud, so that a restarted manager finds its own things by computing their names. The mark is three letters.
 */
export const bridgeName = (mark: string, vni: number): string => `${mark}b${vni.toString(16)}`;
export const tunnelPrefix = (mark: string): string => `${mark}v`;
export const tunnelName = (mark: string, vni: number): string => `${tunnelPrefix(mark)}${vni.toString(16)}`;

/** The host's end of the link to where a segment's names are served. */
export const namingPrefix = (mark: string): string => `${mark}n`;
export const namingName = (mark: string, vni: number): string => `${namingPrefix(mark)}${vni.toString(16)}`;

/** The host's end of an appliance's interface: 48 bits in base 36 take ten characters. */
export const portName = (mark: string, mac: MacAddress): string =>
  `${mark}p${Number.parseInt(mac.replaceAll(":", ""), 16).toString(36).padStart(10, "0")}`;

/** Of the link that carries a guest's frames, which must not have the guest's own: a bridge would keep its frames. */
export const carrierMac = (mac: MacAddress): MacAddress => `06${mac.slice(2)}` as MacAddress;

/** The inverse of `portName`. */
export function macOfPort(mark: string, name: string): MacAddress | undefined {
  const prefix = `${mark}p`;
  if (!name.startsWith(prefix)) return undefined;
  let value = 0;
  for (const digit of name.slice(prefix.length)) value = value * 36 + Number.parseInt(digit, 36);
  const hex = value.toString(16).padStart(12, "0");
  return (hex.match(/../g) ?? []).join(":") as MacAddress;
}

/** The link on which frames from other hosts are sorted. */
export const arrivalsName = (mark: string): string => `${mark}ifb`;

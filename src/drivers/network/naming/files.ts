import { addressText, parseNetwork } from "#base/ipv4.ts";
import type { NamingPlan, SegmentPlan } from "#protocol/host-plan.ts";

/**
 * What dnsmasq reads. Its configuration is read once, so that another one means another process; names and cards
 * are read again whenever it is told so.
 */
export type NamingFiles = {
  readonly config: string;
  /** Addresses and what they are called, as /etc/hosts has them. */
  readonly names: string;
  /** MAC, address and name of everyone that is given an address. */
  readonly cards: string;
};

export type NamedSegment = SegmentPlan & { readonly naming: NamingPlan };

export const isNamed = (segment: SegmentPlan): segment is NamedSegment => segment.naming !== undefined;

/** Of its only interface in its namespace. */
export const namingInterface = "naming";

/** Tells nobody anything but what its files say: it asks no other server, and keeps nothing. */
const silent = [
  "keep-in-foreground",
  "no-resolv",
  "no-hosts",
  "no-poll",
  "cache-size=0",
  "user=",
  "pid-file=",
  "log-facility=/dev/null",
  "local=/consort/",
];

/** Where dnsmasq sees its files, whatever may be reached of the place they are kept in. */
export const filesInside = "/mnt";

/** DHCP with exactly the plan's addresses, for ever, and DNS for the ensemble's names. */
export function segmentFiles(segment: NamedSegment): NamingFiles {
  const { naming, members, mtu } = segment;
  const { address, prefixLength, domain } = naming;
  const network = addressText(parseNetwork(`${address}/${prefixLength}`).base);
  const known = members.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    config: lines([
      ...silent,
      `interface=${namingInterface}`,
      "except-interface=lo",
      "bind-interfaces",
      `domain=${domain}`,
      `addn-hosts=${filesInside}/names`,
      `dhcp-hostsfile=${filesInside}/cards`,
      `dhcp-range=${network},static,${netmask(prefixLength)},infinite`,
      "dhcp-authoritative",
      "leasefile-ro",
      "no-ping",
      "quiet-dhcp",
      // No way leads out of the network.
      "dhcp-option=option:router",
      `dhcp-option=option:dns-server,${address}`,
      `dhcp-option=option:domain-search,${domain}`,
      `dhcp-option=option:mtu,${mtu}`,
    ]),
    names: lines(known.map((one) => `${one.address} ${one.name}.${domain} ${one.name}`)),
    cards: lines(known.map((one) => `${one.mac},${one.address},${one.name}`)),
  };
}

/** For programs of the host itself: full names alone, as several ensembles may have a "db". */
export function hostFiles(segments: readonly NamedSegment[], listenAddress: string): NamingFiles {
  const names = segments.flatMap(({ members, naming }) =>
    members.map((one) => `${one.address} ${one.name}.${naming.domain}`),
  );
  return {
    config: lines([
      ...silent,
      `listen-address=${listenAddress}`,
      "bind-interfaces",
      `addn-hosts=${filesInside}/names`,
    ]),
    names: lines([...new Set(names)].sort()),
    cards: "",
  };
}

const netmask = (prefixLength: number): string => addressText((2 ** 32 - 2 ** (32 - prefixLength)) >>> 0);

const lines = (list: readonly string[]): string => list.map((line) => `${line}\n`).join("");

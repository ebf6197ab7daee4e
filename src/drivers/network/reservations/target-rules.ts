import { ConsortError } from "#base/errors.ts";
import type { TrafficTarget } from "./port.ts";

/** How frames pass: out of the interface, or into it by way of another link that holds them as its classes want. */
export type Passage = { readonly direction: "out" } | { readonly direction: "in"; readonly sorter: string };

/** Targets as hashed maps of the packet filter, one rule each: the cost per packet does not grow with them. Pure. */

/** A target on one interface, and the class of what goes there. */
export type DirectedTarget = { readonly target: TrafficTarget; readonly minor: number };

type Entry = { readonly map: string; readonly key: string };
const bothProtocols = ["tcp", "udp"] as const;

/** What identifies a target: two reservations cannot have the same one. Throws `bad_input`. */
export function entriesOf(target: TrafficTarget): readonly Entry[] {
  if ("sourcePort" in target) {
    const port = checkedPort(target.sourcePort);
    return protocolsOf(target).map((protocol) => ({ map: "sources", key: `${protocol} . ${port}` }));
  }
  const { address, bits } = parsedAddress(target.address);
  if (!("port" in target)) return [{ map: `addresses${bits}`, key: address }];
  if (bits !== 32) {
    throw new ConsortError(
      "bad_input",
      `Cannot reserve bandwidth to port ${target.port} of ${target.address}: a port takes a single address`,
    );
  }
  const port = checkedPort(target.port);
  return protocolsOf(target).map((protocol) => ({ map: "ports", key: `${address} . ${protocol} . ${port}` }));
}

/** The table is in another family for what arrives: the one of a device's ingress. */
export const tableName = ({ direction }: Pick<Passage, "direction">, name: string): string =>
  `${direction === "out" ? "ip" : "netdev"} ${name}`;

/** Nobody else can have a table of this name, nor take it away; no frame passes it yet. */
export const claimRuleset = (table: string): string => `add table ${table} { flags owner; }`;

/** Replaces the table in one transaction. It belongs to this process alone, and goes when that ends. */
export function targetRuleset(options: {
  /** As `tableName` gives it. */
  readonly table: string;
  readonly interface: string;
  readonly passage: Passage;
  readonly major: number;
  readonly targets: readonly DirectedTarget[];
}): string {
  const { table, major, targets, passage } = options;
  const maps = new Map<string, string[]>();
  for (const { target, minor } of targets) {
    for (const { map, key } of entriesOf(target)) {
      const elements = maps.get(map) ?? [];
      elements.push(`${key} : ${major.toString(16)}:${minor.toString(16)}`);
      maps.set(map, elements);
    }
  }
  const { chain, rest, onwards } = chainOf(passage, options.interface);
  return [
    `delete table ${table}`,
    claimRuleset(table),
    `add chain ${table} ${passage.direction} { ${chain} policy accept; }`,
    ...[...maps.keys()]
      .toSorted(byNarrowness)
      .flatMap((map) => [
        `add map ${table} ${map} { type ${keyType(map)} : classid; }`,
        `add rule ${table} ${passage.direction} ${onwards.which}meta priority set ${keyExpression(map, passage)} map @${map} ${onwards.verdict}`,
        `add element ${table} ${map} { ${(maps.get(map) ?? []).join(", ")} }`,
      ]),
    ...rest.map((rule) => `add rule ${table} ${passage.direction} ${rule}`),
  ].join("\n");
}

/** What leaves is sorted where it leaves; what arrives passes the sorter, whether something is reserved for it or not. */
function chainOf(passage: Passage, name: string) {
  if (passage.direction === "out")
    return {
      chain: "type filter hook postrouting priority -150;",
      rest: [],
      onwards: { which: `oifname "${name}" `, verdict: "accept" },
    };
  const verdict = `fwd to "${passage.sorter}"`;
  return {
    chain: `type filter hook ingress device "${name}" priority -150;`,
    rest: [verdict],
    onwards: { which: "", verdict },
  };
}

const prefixOf = (map: string): number => Number(map.slice("addresses".length));

/** A port of this machine, then a port elsewhere, then the longest prefix. */
function byNarrowness(a: string, b: string): number {
  const rank = (map: string): number => (map === "sources" ? 100 : map === "ports" ? 99 : prefixOf(map));
  return rank(b) - rank(a);
}

function keyType(map: string): string {
  if (map === "sources") return "inet_proto . inet_service";
  return map === "ports" ? "ipv4_addr . inet_proto . inet_service" : "ipv4_addr";
}

/** Of what arrives, the other machine is where it comes from. */
function keyExpression(map: string, { direction }: Passage): string {
  const isOut = direction === "out";
  const there = isOut ? "ip daddr" : "ip saddr";
  if (map === "sources") return `meta l4proto . th ${isOut ? "sport" : "dport"}`;
  if (map === "ports") return `${there} . meta l4proto . th ${isOut ? "dport" : "sport"}`;
  return prefixOf(map) === 32 ? there : `${there} & ${addressText(maskOf(prefixOf(map)))}`;
}

const maskOf = (bits: number): number => (bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0);
const addressText = (value: number): string =>
  [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");

function parsedAddress(text: string): { readonly address: string; readonly bits: number } {
  const [, address = "", length = "32"] = /^(\d+\.\d+\.\d+\.\d+)(?:\/(\d+))?$/.exec(text) ?? [];
  const octets = address.split(".").map(Number);
  const bits = Number(length);
  if (octets.length !== 4 || octets.some((octet) => octet > 255) || bits > 32) {
    throw new ConsortError(
      "bad_input",
      `Cannot reserve bandwidth to ${text}: not an IPv4 address or network, as 10.1.2.3 or 10.1.0.0/16`,
    );
  }
  const value = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  return { address: addressText((value & maskOf(bits)) >>> 0), bits };
}

const protocolsOf = ({ protocol }: { readonly protocol?: "tcp" | "udp" }): readonly string[] =>
  protocol === undefined ? bothProtocols : [protocol];

function checkedPort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new ConsortError("bad_input", `Cannot reserve bandwidth to port ${port}: ports are 1 to 65535`);
}

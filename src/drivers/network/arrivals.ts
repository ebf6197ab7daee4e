import { htbMajor } from "./ruleset.ts";
import type { Arrivals } from "./shaping.ts";

/**
 * Which frames from other hosts pass the link where they are sorted, as one table of the packet filter that sees them
 * where they leave their tunnel end, before they reach a segment. Pure. Frames that nobody sorts pay for no more than
 * a look into two hashed maps, and on a host without such appliances there is no table at all.
 *
 *   tunnel end ─ a pair with a class? ─ a receiver with a class? ─ everything sorted? ─ no: into the segment
 *                       └───────────────────────┴─────────────────────────┴─ yes: by class, then into the segment
 */
export const arrivalsTable = "consort";
export const arrivalsFamily = 5;

const table = `netdev ${arrivalsTable}`;
const classOf = (minor: number): string => `${htbMajor.toString(16)}:${minor.toString(16)}`;

/** Replaces what is there in one transaction; without tunnel ends or arrivals it only removes it. */
export function arrivalsRuleset(
  arrivals: Arrivals | undefined,
  tunnelEnds: readonly string[],
  sorter: string,
): string {
  const gone = [`add table ${table}`, `delete table ${table}`];
  if (arrivals === undefined || tunnelEnds.length === 0) return gone.join("\n");
  const rule = (chain: string, text: string): string => `add rule ${table} ${chain} ${text}`;
  const elements = (map: string, entries: ReadonlyMap<string, number>): readonly string[] =>
    entries.size === 0
      ? []
      : [
          `add element ${table} ${map} { ${[...entries].map(([key, minor]) => `${key} : ${classOf(minor)}`).join(", ")} }`,
        ];
  const toSorter = `fwd to "${sorter}"`;
  return [
    ...gone,
    `add table ${table}`,
    `add map ${table} pairs { type ether_addr . ether_addr : classid; }`,
    `add map ${table} receivers { type ether_addr : classid; }`,
    ...elements("pairs", arrivals.pairs),
    ...elements("receivers", arrivals.receivers),
    `add chain ${table} sort`,
    rule("sort", `meta priority set ether saddr . ether daddr map @pairs ${toSorter}`),
    rule("sort", `meta priority set ether daddr map @receivers ${toSorter}`),
    ...(arrivals.everything ? [rule("sort", toSorter)] : []),
    ...tunnelEnds.flatMap((name) => [
      `add chain ${table} ${name} { type filter hook ingress device "${name}" priority 0; policy accept; }`,
      rule(name, "goto sort"),
    ]),
  ].join("\n");
}

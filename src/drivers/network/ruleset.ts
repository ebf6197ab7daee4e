import { noAddress } from "./permissions.ts";
import type { Pair, SetChange, Source } from "./permissions.ts";

/**
 * The nft commands. Every frame passes the same few rules whatever the number of appliances: members and pairs
 * with their classes are looked up in hashed sets, so the cost per frame does not grow.
 *
 *   from a tunnel ─────────────────────────────┐
 *   from an appliance ─ verify: is it who it ─ admit: is the pair permitted? its class ─────────────── accept
 *                       says (port, MAC, IPv4)?           broadcast (ARP, IPv4): within its bridge ─── accept
 *   to or from the host itself ─ drop           anything else ─ drop
 *
 *   from an appliance to its names ─ ask: who it says, or who has no address yet; DHCP for its own card, DNS, ARP and
 *                                    echo; not too often
 *   from there to an appliance of this host ─ accept; nothing else passes there, and no question for it leaves the host
 */

export const tableName = "consort";
/** Handle of our queueing discipline on any link; ours to recognise after a restart. */
export const htbMajor = 0xc057;

/**
 * Well before 0: where bridged frames are also shown to the IP packet filter (br_netfilter, common beside container
 * engines), frames it has let through skip the chains of priority 0.
 */
const bridgePriority = -200;

export type ClassChange = {
  /** Pair → minor class number; pairs that are not in it share one class. */
  readonly numbers: ReadonlyMap<Pair, number>;
  /** Pairs permitted before and after that get another class; their counters start again. */
  readonly moved: readonly Pair[];
  readonly sharedMinor: number;
};

const minorHex = (minor: number): string => `${htbMajor.toString(16)}:${minor.toString(16)}`;

/** Tables, sets and chains. Run again it replaces the rules and keeps the elements. */
export function baseRuleset(options: {
  mark: string;
  uplink: string;
  minorMin: number;
  minorMax: number;
}): string {
  const { mark, uplink, minorMin, minorMax } = options;
  const table = `bridge ${tableName}`;
  const chain = (name: string, hook?: string): string =>
    `add chain ${table} ${name}${hook === undefined ? "" : ` { type filter hook ${hook} priority ${bridgePriority}; policy accept; }`}\nflush chain ${table} ${name}`;
  const rule = (name: string, text: string): string => `add rule ${table} ${name} ${text}`;
  return [
    `add table ${table}`,
    `add set ${table} sources { type ifname . ether_addr . ipv4_addr; }`,
    `add set ${table} askers { type ifname . ether_addr . ipv4_addr; }`,
    // A card as DHCP's messages name it.
    `add set ${table} cards { typeof iifname . ${dhcpCard}; }`,
    `add set ${table} asking { type ifname; size 65535; flags dynamic; }`,
    `add map ${table} pairs { type ether_addr . ether_addr : classid; counter; }`,
    chain("admit"),
    chain("verify"),
    chain("ask"),
    chain("forward", "forward"),
    chain("input", "input"),
    chain("output", "output"),
    rule("admit", `meta priority set ether saddr . ether daddr map @pairs accept`),
    rule("admit", `ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 ether type { ip, arp } accept`),
    rule("admit", "drop"),
    rule("verify", `ether type ip iifname . ether saddr . ip saddr @sources goto admit`),
    rule(
      "verify",
      `ether type arp iifname . ether saddr . arp saddr ip @sources iifname . arp saddr ether . arp saddr ip @sources goto admit`,
    ),
    rule("verify", "drop"),
    ...askRules(rule),
    rule("forward", `oifname "${mark}n*" iifname "${mark}p*" goto ask`),
    rule("forward", `iifname "${mark}n*" oifname "${mark}p*" ether type { ip, arp } accept`),
    rule("forward", `iifname "${mark}n*" drop`),
    rule("forward", `oifname "${mark}n*" drop`),
    rule("forward", `oifname "${mark}v*" ether type arp iifname . ether saddr . arp daddr ip @askers drop`),
    rule("forward", `iifname "${mark}p*" goto verify`),
    rule("forward", `iifname "${mark}v*" goto admit`),
    rule("forward", `oifname "${mark}*" drop`),
    rule("input", `iifname "${mark}*" drop`),
    rule("output", `oifname "${mark}*" drop`),
    ...preferShaped(uplink, minorMin, minorMax),
  ].join("\n");
}

/** Where a message to a DHCP server says for whom it is (chaddr), in bits from the beginning of the UDP header. */
const dhcpCard = "@th,288,48";

/** Questions of one appliance in a second; more are lost, and harm nobody but itself. */
const questionsPerSecond = 400;

function askRules(rule: (chain: string, text: string) => string): readonly string[] {
  const verified = "iifname . ether saddr . ip saddr @sources";
  const rate = `limit rate over ${questionsPerSecond}/second burst ${questionsPerSecond} packets`;
  return [
    rule("ask", `add @asking { iifname ${rate} } drop`),
    rule("ask", `ether type ip ${verified} udp dport 53 accept`),
    rule("ask", `ether type ip ${verified} udp dport 67 iifname . ${dhcpCard} @cards accept`),
    rule("ask", `ether type ip ${verified} tcp dport 53 accept`),
    rule("ask", `ether type ip ${verified} icmp type echo-request accept`),
    rule(
      "ask",
      "ether type arp iifname . ether saddr . arp saddr ip @sources iifname . arp saddr ether . arp saddr ip @sources accept",
    ),
    rule(
      "ask",
      `ether type ip ip saddr ${noAddress} iifname . ether saddr . ip saddr @askers udp sport 68 udp dport 67 iifname . ${dhcpCard} @cards accept`,
    ),
    rule("ask", "drop"),
  ];
}

/** Shaped traffic leaves with a code point that switches and gateways can prefer. */
function preferShaped(uplink: string, minorMin: number, minorMax: number): readonly string[] {
  const table = `ip ${tableName}`;
  return [
    `add table ${table}`,
    `add chain ${table} postrouting { type filter hook postrouting priority 0; policy accept; }`,
    `flush chain ${table} postrouting`,
    `add rule ${table} postrouting oifname "${uplink}" udp dport 4789 meta priority ${minorHex(minorMin)}-${minorHex(minorMax)} ip dscp set ef`,
  ];
}

/** Works whether the tables exist or not. */
export const removeRuleset = [`bridge ${tableName}`, `ip ${tableName}`]
  .flatMap((table) => [`add table ${table}`, `delete table ${table}`])
  .join("\n");

const elementsPerCommand = 500;

/** Commands for one transaction; "" when nothing changed. */
export function elementCommands(change: SetChange, classes: ClassChange): string {
  const withClass = (pair: Pair): string =>
    `${pair} : ${minorHex(classes.numbers.get(pair) ?? classes.sharedMinor)}`;
  return [
    ...command("delete", "pairs", [...change.removedPairs, ...classes.moved]),
    ...command("delete", "sources", change.removedSources),
    ...command("delete", "askers", change.removedAskers),
    ...command("add", "sources", change.addedSources),
    ...command("add", "askers", change.addedAskers),
    ...command("add", "pairs", [...change.addedPairs, ...classes.moved].map(withClass)),
  ].join("\n");
}

/**
 * The cards of those who may ask, as DHCP's messages name them. They are not read back: those who asked before this
 * process began are told of once more.
 */
export function cardCommands(change: SetChange, before: readonly Source[]): string {
  return [
    ...command("add", "cards", before.flatMap(cardOf)),
    ...command("delete", "cards", change.removedAskers.flatMap(cardOf)),
    ...command("add", "cards", change.addedAskers.flatMap(cardOf)),
  ].join("\n");
}

function cardOf(asker: Source): readonly string[] {
  const [port, mac = "", address] = asker.split(" . ");
  return address === noAddress ? [`${port} . 0x${mac.replaceAll(":", "")}`] : [];
}

function command(verb: "add" | "delete", set: string, elements: readonly string[]): string[] {
  const commands: string[] = [];
  for (let at = 0; at < elements.length; at += elementsPerCommand) {
    const some = elements.slice(at, at + elementsPerCommand);
    commands.push(`${verb} element bridge ${tableName} ${set} { ${some.join(", ")} }`);
  }
  return commands;
}

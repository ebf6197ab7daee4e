import type { BitsPerSecond } from "#base/units.ts";
import type { Cable, LabInterface, LabNode } from "#lab/layout.ts";
import { netnsName } from "#lab/names.ts";

/**
 * Lines for `ip -batch` and `tc -batch`, nothing else: what to run where is decided here, build.ts only runs it.
 * An interface gets this alias as the last step of its configuration, and a namespace's `lo` as the last step of
 * all: what bears the alias is complete, and adopted as it stands.
 */
export const doneAlias = "consort";

/** One batch in the root namespace makes all namespaces and all cables, each end born where it belongs. */
export function rootBatch(lab: string, namespaces: readonly string[], cables: readonly Cable[]): string[] {
  return [
    ...namespaces.map((node) => `netns add ${netnsName(lab, node)}`),
    ...cables.map(
      ({ a, b }) =>
        `link add ${a.interface} netns ${netnsName(lab, a.node)} type veth` +
        ` peer name ${b.interface} netns ${netnsName(lab, b.node)}`,
    ),
  ];
}

const kinds = {
  host: { shared: false, forwards: false },
  switch: { shared: true, forwards: false },
  gateway: { shared: true, forwards: true },
  router: { shared: true, forwards: true },
} satisfies Record<LabNode["kind"], { shared: boolean; forwards: boolean }>;

/** What may wait for the relay to be given the CPU. */
const relayQueuePackets = 10_000;

export const forwards = (node: LabNode): boolean => kinds[node.kind].forwards;

/** Lines for `ip -n NS -batch -`; `todo` are the interfaces that are not complete yet. */
export function nodeIpBatch(node: LabNode, todo: readonly LabInterface[]): string[] {
  const bridge = node.kind === "switch";
  return [
    "link set lo up",
    ...(bridge ? ["link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up"] : []),
    ...portLines(node, todo),
    ...node.delays.flatMap(({ device }) => [
      `tuntap add dev ${device} mode tun vnet_hdr`,
      `link set ${device} txqueuelen ${relayQueuePackets} addrgenmode none up`,
    ]),
    ...node.routes.map(({ to, via }) => `route replace ${to} via ${via}`),
    ...delayRules(node).flatMap(({ device, table, rules }) => [
      `route replace default dev ${device} table ${table}`,
      ...rules.map(
        ({ from, to, priority }) => `rule add pref ${priority} iif ${from} to ${to} lookup ${table}`,
      ),
    ]),
    `link set lo alias ${doneAlias}`,
  ];
}

/** The same for new cables of a node that was complete before: they come and its routes, the rest is there. */
export function nodeJoinBatch(node: LabNode, todo: readonly LabInterface[]): string[] {
  return [...portLines(node, todo), ...node.routes.map(({ to, via }) => `route replace ${to} via ${via}`)];
}

function portLines(node: LabNode, ports: readonly LabInterface[]): string[] {
  const master = node.kind === "switch" ? " master br0" : "";
  return ports.flatMap(({ name, address }) => [
    // No link-local addresses: nothing here speaks IPv6, and duplicate detection would only add frames.
    `link set ${name}${hardwareAddress(address)} addrgenmode none${master} up`,
    ...(address === undefined ? [] : [`addr replace ${address} dev ${name}`]),
    `link set ${name} alias ${doneAlias}`,
  ]);
}

/** The same after a loss of power, as that of a real interface: neighbours remember it. */
function hardwareAddress(address: string | undefined): string {
  if (address === undefined) return "";
  const bytes = (address.split("/")[0] ?? "")
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"));
  return ` address 02:63:${bytes.join(":")}`;
}

/** Takes away what a broken-off nodeIpBatch may have left and a second run would trip over. Lines may fail. */
export function nodeResetBatch(node: LabNode): string[] {
  return [
    ...(node.kind === "switch" ? ["link del br0"] : []),
    ...node.delays.map(({ device }) => `link del ${device}`),
    ...delayRules(node).flatMap(({ rules }) => rules.map(({ priority }) => `rule del pref ${priority}`)),
  ];
}

function delayRules(node: LabNode): readonly {
  device: string;
  table: number;
  rules: readonly { from: string; to: string; priority: number }[];
}[] {
  let priority = 1000;
  return node.delays.map(({ device, paths }, index) => ({
    device,
    table: 101 + index,
    rules: paths.flatMap(({ from, to }) => to.map((prefix) => ({ from, to: prefix, priority: priority++ }))),
  }));
}

/** Lines for `tc -n NS -batch -`: each end of a cable sends at the cable's rate. */
export function nodeTcBatch(node: LabNode, todo: readonly LabInterface[]): string[] {
  return todo.flatMap(({ name, bandwidthBps }) =>
    kinds[node.kind].shared ? sharedPort(name, bandwidthBps) : hostPort(name, bandwidthBps),
  );
}

const quantumBytes = 60_000;
/** What a port may send at once: two of the largest frames the stack hands down whole, or a millisecond's worth. */
const burstBytes = (rate: BitsPerSecond): number => Math.max(131_072, Math.round(rate / 8 / 1000));
/** A port's buffer: ten milliseconds, as a plain switch has. */
const queueBytes = (rate: BitsPerSecond): number => Math.max(262_144, Math.round(rate / 8 / 100));

/** The host manager replaces this tree by its own, with the same root and rate. */
function hostPort(name: string, rate: BitsPerSecond): string[] {
  return [
    `qdisc add dev ${name} root handle 1: htb default 20`,
    `class add dev ${name} parent 1: classid 1:1 htb ${shape(rate, rate)}`,
    `class add dev ${name} parent 1:1 classid 1:20 htb ${shape(rate, rate)}`,
    `qdisc add dev ${name} parent 1:20 handle 20: bfifo limit ${queueBytes(rate)}`,
  ];
}

const classOfReserved = "1:10";
const classOfRest = "1:20";

/**
 * Inside the fabric two classes: frames whose outer IP header says EF go first, and the rest is never quite starved.
 * Hosts mark only what is reserved, and admission keeps that below the link's rate.
 */
function sharedPort(name: string, rate: BitsPerSecond): string[] {
  const rest = Math.max(8_000, Math.round(rate / 100));
  return [
    `qdisc add dev ${name} root handle 1: htb default 20`,
    // 0xb8 is DSCP 46 (EF); the two low bits of the byte are ECN's.
    `filter add dev ${name} parent 1: protocol ip prio 1 u32 match ip tos 0xb8 0xfc flowid ${classOfReserved}`,
    `class add dev ${name} parent 1: classid 1:1 htb ${shape(rate, rate)}`,
    `class add dev ${name} parent 1:1 classid ${classOfReserved} htb prio 0 ${shape(rate - rest, rate)}`,
    `class add dev ${name} parent 1:1 classid ${classOfRest} htb prio 7 ${shape(rest, rate)}`,
    `qdisc add dev ${name} parent ${classOfReserved} handle 10: bfifo limit ${queueBytes(rate)}`,
    `qdisc add dev ${name} parent ${classOfRest} handle 20: bfifo limit ${queueBytes(rate)}`,
  ];
}

function shape(rate: number, ceiling: BitsPerSecond): string {
  const burst = burstBytes(ceiling);
  return `rate ${rate}bit ceil ${ceiling}bit burst ${burst} cburst ${burst} quantum ${quantumBytes}`;
}

import { hostId, ipv4Address, macAddress } from "#base/ids.ts";
import type { Ipv4Address } from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { outlineOf } from "../network/class-outline.ts";
import type { Classes } from "../network/class-outline.ts";
import { bridgeName, namingName, portName, tunnelName } from "#drivers/network/names.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { noNumbers, wantedShaping } from "#drivers/network/shaping.ts";
import type { HostPlan, SegmentMember } from "#protocol/host-plan.ts";
import { addressOf, idOf, linkMark, macOf, uplink } from "./attacked-place.ts";
import type { MachineName } from "./attacked-place.ts";
import { front } from "./plans.ts";

type HostName = "a" | "b";

/** A machine that is wanted, and the host it is on its way to. */
export type Placed = { readonly name: MachineName; readonly at: HostName; readonly to?: HostName };

/** Promised between two machines, both ways. */
export type WantedLink = {
  readonly ends: readonly [MachineName, MachineName];
  readonly rateBps: BitsPerSecond;
  readonly ceilingBps?: BitsPerSecond;
};

/** Promised to all that a machine sends to, and gets from, other hosts. */
export type WantedTraffic = { readonly outBps?: BitsPerSecond; readonly inBps?: BitsPerSecond };

/** What is wanted of the network, whichever machines there are. */
export type WantedNetwork = {
  readonly links: ReadonlyMap<string, WantedLink>;
  readonly traffic: ReadonlyMap<MachineName, WantedTraffic>;
};

/** Both tunnels between the sites take a segment's frames with this many bytes. */
const segmentMtu = 1350;
const vni = 0x5eed;

const places = ({ at, to }: Placed): readonly HostName[] => (to === undefined ? [at] : [at, to]);

/** What one host is told of the segment, its links and its machines' traffic. */
export function networkFor(
  host: HostName,
  machines: readonly Placed[],
  { links, traffic }: WantedNetwork,
  hosts: Readonly<Record<HostName, Ipv4Address>>,
): Pick<HostPlan, "segments" | "shapedPairs"> & Required<Pick<HostPlan, "traffic">> {
  const here = machines.filter((one) => places(one).includes(host));
  if (here.length === 0) return { segments: [], shapedPairs: [], traffic: [] };
  const member = (one: Placed): SegmentMember => {
    const [first = one.at, second] = one.to === host ? [host, one.at] : places(one);
    return {
      appliance: idOf(one.name),
      name: one.name,
      mac: macOf(one.name),
      address: addressOf(one.name),
      host: hostId(first),
      hostAddress: hosts[first],
      ...(second === undefined ? {} : { movesWith: hosts[second] }),
    };
  };
  const other = host === "a" ? "b" : "a";
  const naming = {
    address: ipv4Address("10.9.0.1"),
    mac: macAddress("02:cf:00:00:00:01"),
    prefixLength: 24,
    domain: "attack.consort",
  };
  const segment = {
    network: front,
    vni,
    mtu: segmentMtu,
    peers: machines.some((one) => places(one).includes(other)) ? [hosts[other]] : [],
    members: machines.map(member),
    naming,
  };
  return {
    segments: [segment],
    shapedPairs: [...links.values()].flatMap((link) => pairsOf(link, host, machines)),
    traffic: here.flatMap(({ name }) => {
      const rates = traffic.get(name);
      return rates === undefined ? [] : { appliance: idOf(name), macs: [macOf(name)], priority: 0, ...rates };
    }),
  };
}

/** Those of which the sender may be here; on one host together only a ceiling needs a class. */
function pairsOf(
  { ends: [a, b], ...rates }: WantedLink,
  host: HostName,
  machines: readonly Placed[],
): HostPlan["shapedPairs"] {
  const ways = [
    [a, b],
    [b, a],
  ] as const;
  return ways.flatMap(([from, to]) => {
    const [sender, receiver] = [from, to].map((name) => machines.find((one) => one.name === name));
    if (sender === undefined || receiver === undefined || !places(sender).includes(host)) return [];
    if (sender.at === receiver.at && rates.ceilingBps === undefined) return [];
    return { network: front, fromMac: macOf(from), toMac: macOf(to), priority: 4, ...rates };
  });
}

/** What of a host's kernel carries the network driver's mark. */
export type KernelNetwork = {
  readonly links: readonly string[];
  /** Of links that have any. */
  readonly classes: readonly (readonly [link: string, classes: Classes])[];
  /** "from > to" of those who may talk. */
  readonly pairs: readonly string[];
};

/** What of it is not as a plan has it, for people. */
export function wrongNetwork(plan: NetworkPlan, found: KernelNetwork): readonly string[] {
  const { classes, arrivals } = wantedShaping(plan, noNumbers, { mark: linkMark, uplink });
  const links = [
    ...plan.segments.flatMap((each) => [
      bridgeName(linkMark, each.vni),
      tunnelName(linkMark, each.vni),
      namingName(linkMark, each.vni),
    ]),
    ...plan.ports.map((port) => portName(linkMark, port.interface.mac)),
    ...(arrivals === undefined ? [] : [`${linkMark}ifb`]),
  ];
  const local = new Set(plan.ports.map((port) => port.interface.mac));
  const members = plan.segments.flatMap((each) => each.members.map(({ mac }) => mac));
  const pairs = members.flatMap((from) =>
    members.filter((to) => from !== to && (local.has(from) || local.has(to))).map((to) => `${from} > ${to}`),
  );
  const shown = new Map(found.classes);
  const shaped = new Set([...classes.keys(), ...shown.keys()]);
  return [
    ...difference("links", links, found.links),
    ...difference("permitted pairs", pairs, found.pairs),
    ...[...shaped].flatMap((link) =>
      difference(
        `classes on ${link}`,
        outlineOf([...(classes.get(link) ?? [])]),
        outlineOf(shown.get(link) ?? []),
      ),
    ),
  ];
}

function difference(what: string, wanted: readonly string[], found: readonly string[]): readonly string[] {
  const [one, other] = [wanted.toSorted().join(", "), found.toSorted().join(", ")];
  return one === other ? [] : [`${what}: ${other}, not ${one}`];
}

/** Of a promise; all of them together fit the uplink. */
export const megabits = (count: number): BitsPerSecond => bitsPerSecond(count * 1e6);

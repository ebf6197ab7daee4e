import {
  applianceId,
  applianceName,
  ensembleName,
  hostId,
  ipv4Address,
  macAddress,
  networkId,
} from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { SegmentMember, ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import type { NetworkPlan } from "./port.ts";

/** Small plans for this folder's tests and conformance suite: one segment, seen from host 172.30.0.1. */

const ensemble = ensembleName("shop");
export const exampleNetwork = networkId(ensemble, "lan");
export const exampleHost = ipv4Address("172.30.0.1");

export function exampleGuest(number: number, hostAddress = "172.30.0.1"): SegmentMember {
  return {
    appliance: applianceId(ensemble, applianceName(`guest-${number}`)),
    name: `guest-${number}`,
    mac: macAddress(`02:c0:00:00:00:${number.toString(16).padStart(2, "0")}`),
    address: ipv4Address(`10.77.0.${number}`),
    host: hostId(hostAddress),
    hostAddress: ipv4Address(hostAddress),
  };
}

/** `netns` of a port is "/run/netns/<prefix><number>". */
export function examplePlan(
  members: readonly SegmentMember[],
  shapedPairs: readonly ShapedPair[] = [],
  namespacePrefix = "guest-",
): NetworkPlan {
  const here = members.filter((member) => member.hostAddress === exampleHost);
  if (here.length === 0) return { segments: [], ports: [], shapedPairs: [] };
  const peers = new Set(members.map((member) => member.hostAddress).filter((host) => host !== exampleHost));
  return {
    segments: [{ network: exampleNetwork, vni: 0x51, mtu: 1450, peers: [...peers], members }],
    ports: here.map((member) => ({
      appliance: member.appliance,
      netns: `/run/netns/${namespacePrefix}${member.name.replace("guest-", "")}`,
      interface: {
        name: "eth0",
        network: exampleNetwork,
        mac: member.mac,
        address: member.address,
        prefixLength: 16,
      },
    })),
    shapedPairs,
  };
}

export function exampleShaped(
  from: SegmentMember,
  to: SegmentMember,
  rateBps: number,
  ceilingBps?: number,
): ShapedPair {
  return {
    network: exampleNetwork,
    fromMac: from.mac,
    toMac: to.mac,
    rateBps: bitsPerSecond(rateBps),
    ...(ceilingBps === undefined ? {} : { ceilingBps: bitsPerSecond(ceilingBps) }),
    priority: 4,
  };
}

/** Rates in bits per second; gold unless told. */
export function exampleTraffic(
  guest: SegmentMember,
  rates: { out?: number; in?: number; outCeiling?: number; inCeiling?: number },
  priority = 0,
): TrafficPlan {
  const given = (field: string, rate: number | undefined) =>
    rate === undefined ? {} : { [field]: bitsPerSecond(rate) };
  return {
    appliance: guest.appliance,
    macs: [guest.mac],
    ...given("outBps", rates.out),
    ...given("inBps", rates.in),
    ...given("outCeilingBps", rates.outCeiling),
    ...given("inCeilingBps", rates.inCeiling),
    priority,
  };
}

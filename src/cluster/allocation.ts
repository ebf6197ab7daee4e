import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { macAddress } from "#base/ids.ts";
import type { MacAddress } from "#base/ids.ts";
import { addressNumber, addressText, networksOverlap, networkText, parseNetwork } from "#base/ipv4.ts";
import type { Ipv4Network } from "#base/ipv4.ts";
import type { EnsembleRecord, InterfaceAllocation, NetworkAllocation } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble, NetworkSpec } from "#model/ensemble.ts";

/**
 * Identifiers, subnets, MAC and IPv4 addresses of an ensemble, derived from what others hold; nothing is counted
 * up, so nothing can be lost. What an appliance has it keeps.
 *
 *   vni      the lowest free number from 1           (24 bits)
 *   subnet   the lowest free /24 of 10.64.0.0/10, or larger where the members need it
 *   address  subnet + n, n from 2                    (.1 is where names are served)
 *   mac      02:<vni, 3 bytes>:<n, 2 bytes>          unique because vni and n are (locally administered)
 */
export type Allocation = {
  readonly networks: Readonly<Record<string, NetworkAllocation>>;
  readonly interfaces: Readonly<Record<ApplianceId, readonly InterfaceAllocation[]>>;
};

const pool = parseNetwork("10.64.0.0/10");
const firstMember = 2;
const memberNumberMax = 0xffff;

/** Throws `limit_exceeded` when identifiers or addresses run out. */
export function allocate(
  ensemble: Ensemble,
  before: Allocation | undefined,
  others: readonly EnsembleRecord[],
): Allocation {
  // Also what it has itself, wanted further or not: hosts may still be removing it.
  const held = [...others, before].flatMap((record) => Object.values(record?.networks ?? {}));
  const vnis = new Set(held.map((network) => network.vni));
  const subnets = held.map((network) => parseNetwork(network.subnet));
  const networks: Record<string, NetworkAllocation> = {};
  const appliances = appliancesOf(ensemble);
  for (const spec of ensemble.networks) {
    const kept = before?.networks[spec.name];
    const members = appliances.filter((one) => one.spec.networks.includes(spec.name)).length;
    const allocation = {
      vni: kept?.vni ?? lowestFree(vnis),
      subnet: subnetFor(spec, kept, members, subnets),
    };
    vnis.add(allocation.vni);
    subnets.push(parseNetwork(allocation.subnet));
    networks[spec.name] = allocation;
  }
  const numbers = new Map(
    Object.entries(networks).map(([name, one]) => [name, heldNumbers(name, one, before)]),
  );
  const interfaces: Record<ApplianceId, InterfaceAllocation[]> = {};
  for (const appliance of appliances) {
    interfaces[appliance.id] = appliance.spec.networks.map((name) => {
      const network = networks[name];
      const taken = numbers.get(name);
      if (network === undefined || taken === undefined) {
        throw new ConsortError("bad_input", `Cannot attach ${appliance.id}: no network "${name}"`);
      }
      const kept = before?.interfaces[appliance.id]?.find((one) => one.network === name);
      if (kept !== undefined && before?.networks[name]?.subnet === network.subnet) return kept;
      return newInterface(name, network, taken);
    });
  }
  return { networks, interfaces };
}

function lowestFree(taken: ReadonlySet<number>): number {
  let candidate = 1;
  while (taken.has(candidate)) candidate += 1;
  return candidate;
}

function subnetFor(
  spec: NetworkSpec,
  kept: NetworkAllocation | undefined,
  members: number,
  taken: readonly Ipv4Network[],
): string {
  if (spec.subnet !== undefined) return networkText(parseNetwork(spec.subnet));
  const prefixLength = Math.min(24, 32 - Math.ceil(Math.log2(members + firstMember + 1)));
  if (kept !== undefined && parseNetwork(kept.subnet).prefixLength <= prefixLength) return kept.subnet;
  const size = 2 ** (32 - prefixLength);
  let base = pool.base;
  for (const one of taken.toSorted((a, b) => a.base - b.base)) {
    if (networksOverlap(one, { base, prefixLength })) {
      base = Math.ceil((one.base + 2 ** (32 - one.prefixLength)) / size) * size;
    } else if (one.base > base) break;
  }
  if (base + size <= pool.base + 2 ** (32 - pool.prefixLength)) return networkText({ base, prefixLength });
  throw new ConsortError(
    "limit_exceeded",
    `Cannot make network "${spec.name}": no subnet is free in ${networkText(pool)}`,
  );
}

function heldNumbers(name: string, network: NetworkAllocation, before: Allocation | undefined): Set<number> {
  const base = parseNetwork(network.subnet).base;
  const kept =
    before?.networks[name]?.subnet === network.subnet ? Object.values(before.interfaces).flat() : [];
  return new Set(kept.filter((one) => one.network === name).map((one) => addressNumber(one.address) - base));
}

function newInterface(name: string, network: NetworkAllocation, taken: Set<number>): InterfaceAllocation {
  const subnet = parseNetwork(network.subnet);
  const last = Math.min(2 ** (32 - subnet.prefixLength) - 2, memberNumberMax);
  let number = firstMember;
  while (taken.has(number)) number += 1;
  if (number > last) {
    throw new ConsortError(
      "limit_exceeded",
      `Cannot attach one more appliance to "${name}": ${network.subnet} is full`,
    );
  }
  taken.add(number);
  return { network: name, mac: memberMac(network.vni, number), address: addressText(subnet.base + number) };
}

export function memberMac(vni: number, number: number): MacAddress {
  const digits = `02${vni.toString(16).padStart(6, "0")}${number.toString(16).padStart(4, "0")}`;
  return macAddress(digits.match(/../g)?.join(":") ?? digits);
}

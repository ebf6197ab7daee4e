import { basename } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { InterfacePlan } from "#protocol/host-plan.ts";

/**
 * How a guest is reached, within the network namespace of its slot:
 *
 *   segment ── eth0 ──┐
 *                    br0 ── 169.254.0.1: its host manager, in this namespace only
 *   QEMU ──── tap0 ──┘
 *
 * One bridge for each interface. What the bridge itself says never leaves through eth0, and nothing from outside reaches
 * it: neighbours have a bridge of the same address.
 */
const tapName = (index: number): string => `tap${index}`;
const bridgeName = (index: number): string => `br${index}`;

/** Of the host manager, as each guest sees it; of the same network as the guests' own route. */
export const hostAddress = "169.254.0.1";
const linkLocal = "169.254.0.0/16";

export const tapOf = (interfaces: readonly InterfacePlan[], name: string): string =>
  tapName(interfaces.findIndex((one) => one.name === name));

/** For `ip -force -batch`: what is there already is only told of. */
export function cableSteps(
  interfaces: readonly Pick<InterfacePlan, "name" | "address">[],
  uid: number,
): string {
  const steps = interfaces.flatMap(({ name, address }, index) => {
    const [bridge, tap] = [bridgeName(index), tapName(index)];
    return [
      `link add ${bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${bridge} addrgenmode none`,
      `tuntap add dev ${tap} mode tap user ${uid}`,
      `link set ${tap} addrgenmode none`,
      `link set ${tap} master ${bridge} up`,
      `link set ${name} addrgenmode none`,
      `link set ${name} master ${bridge}`,
      // Who is where does not change; what a machine that moves says from its other host is not to be believed here.
      `link set ${tap} type bridge_slave learning off`,
      `link set ${name} type bridge_slave learning off`,
      // Should the interface be lost, another one is put in here.
      `link set ${bridge} alias ${name}`,
      `link set ${bridge} up`,
      ...(index === 0 ? [`addr replace ${hostAddress}/32 dev ${bridge}`] : []),
      `route replace ${address}/32 dev ${bridge} src ${hostAddress}`,
    ];
  });
  return `${steps.join("\n")}\n`;
}

/** For `nft -f`: whole each time. */
export function cableRules(interfaces: readonly Pick<InterfacePlan, "name">[]): string {
  const names = interfaces.map(({ name }) => `"${name}"`).join(", ");
  if (names === "") return "";
  return `table bridge consort-cable
delete table bridge consort-cable
table bridge consort-cable {
  chain in { type filter hook input priority 0; iifname { ${names} } drop; }
  chain out { type filter hook output priority 0; oifname { ${names} } drop; }
  chain through {
    type filter hook forward priority 0;
    ether type arp arp daddr ip ${linkLocal} drop
    ip daddr ${linkLocal} drop
  }
}
`;
}

/**
 * Joins a machine's taps to the interfaces that are in its namespace; harmless when all is there.
 * Rejects with `driver_failed` when a tap is on no bridge afterwards.
 */
export async function layCables(
  machine: { readonly netns: string; readonly uid: number; readonly interfaces: readonly InterfacePlan[] },
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  const { netns, uid, interfaces } = machine;
  if (interfaces.length === 0) return;
  const name = basename(netns);
  await Promise.all([
    subprocess.run("ip", ["-n", name, "-force", "-batch", "-"], signal, {
      input: cableSteps(interfaces, uid),
    }),
    subprocess.check("ip", ["netns", "exec", name, "nft", "-f", "-"], signal, {
      input: cableRules(interfaces),
    }),
  ]);
  // It goes on after what failed because it was there: so it is looked at what came of it.
  const links = masters(await subprocess.check("ip", ["-n", name, "-j", "link", "show"], signal));
  interfaces.forEach((one, index) => {
    for (const link of [one.name, tapName(index)])
      if (links.get(link) !== bridgeName(index))
        throw new ConsortError(
          "driver_failed",
          `Cannot connect a machine in ${name}: ${link} is not on ${bridgeName(index)}`,
        );
  });
}

function masters(json: string): ReadonlyMap<string, string | undefined> {
  const links = JSON.parse(json) as readonly { readonly ifname: string; readonly master?: string }[];
  return new Map(links.map(({ ifname, master }) => [ifname, master]));
}

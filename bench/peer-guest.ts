import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress } from "#base/ids.ts";
import type { Ipv4Address } from "#base/ids.ts";
import type { SshPlace } from "#drivers/appliance/port.ts";
import { clockKhzOf } from "#drivers/appliance/qemu/spec-of.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import type { GuestIdentity } from "#drivers/guest/context/identity.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { front, vmPlan } from "../test/vm/plans.ts";

/** One of our tiny guests as somebody else's program is to start it: the same kernel, root and context as with us. */
export type PeerGuest = {
  readonly name: string;
  readonly mac: string;
  readonly address: Ipv4Address;
  readonly identity: GuestIdentity;
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  readonly contextFile: string;
  /** Where it answers SSH, seen from a network namespace on its network. */
  place(netns: string): SshPlace;
};

/** Of what stands for them where a name for keys and connections is wanted. */
export const peerId = applianceId(ensembleName("bench"), applianceName("peer"));

/** Writes its context into the directory. `member`: 1 to 250, the last part of its address. */
export function peerGuest(guest: BuiltGuest, directory: string, name: string, member: number): PeerGuest {
  const { boot } = guest.image;
  if (boot?.kind !== "kernel" || boot.initrd === undefined) throw new Error("the tiny guest has no kernel");
  const random = systemRandom();
  const identity = newIdentity(random);
  const mac = macAddress(`02:00:00:00:02:${member.toString(16).padStart(2, "0")}`);
  const address = ipv4Address(`10.9.0.${member}`);
  const plan = vmPlan(
    guest.image,
    { interfaces: [{ name: "eth0", network: front, mac, address, prefixLength: 24 }] },
    { hostname: name },
  );
  const hostKeys = identity.login === undefined ? [] : [identity.login.publicKey];
  const entropy = random.hex(64);
  const networks = new Map([[front, { mtu: 1500 }]]);
  const contextFile = join(directory, `${name}.iso`);
  writeFileSync(contextFile, contextDisk(guestContext({ plan, identity, networks, hostKeys, entropy })));
  const khz = clockKhzOf(readFileSync("/proc/cpuinfo", "utf8"));
  return {
    name,
    mac,
    address,
    identity,
    kernel: guest.files.get(boot.kernel.digest) ?? "",
    initrd: guest.files.get(boot.initrd.digest) ?? "",
    commandLine: khz === undefined ? boot.commandLine : `${boot.commandLine} tsc_early_khz=${khz}`,
    contextFile,
    place: (netns) => ({
      netns,
      address,
      port: 22,
      user: "root",
      hostKey: identity.sshHostKey.publicKey,
      privateKey: identity.login?.openSsh ?? "",
    }),
  };
}

import type { Random } from "#base/runtime.ts";
import type { DesiredCloud } from "#cluster/host-plans.ts";
import { keys } from "#cluster/records.ts";
import type { TunnelRecord } from "#cluster/records.ts";
import { tunnelsNeeded } from "#cluster/tunnels.ts";
import type { StoreWrite } from "#drivers/store/port.ts";

const staticKeyBytes = 256;
const staticKeyLineBytes = 16;

/** Writes for tunnels that are needed for the first time; those no longer needed keep their numbers for the next time. */
export function newTunnelRecords(cloud: DesiredCloud, random: Random): StoreWrite[] {
  const taken = new Set([...cloud.tunnels.values()].map((tunnel) => tunnel.index));
  const writes: StoreWrite[] = [];
  for (const pair of tunnelsNeeded(cloud.ensembles, cloud.hosts, cloud.topology).keys()) {
    if (cloud.tunnels.has(pair)) continue;
    let index = 0;
    while (taken.has(index)) index += 1;
    taken.add(index);
    const record: TunnelRecord = { index, sharedKey: openVpnStaticKey(random) };
    writes.push({ put: keys.tunnel(pair), value: record });
  }
  return writes;
}

/** As `openvpn --genkey secret` writes it. */
function openVpnStaticKey(random: Random): string {
  const lines = Array.from({ length: staticKeyBytes / staticKeyLineBytes }, () =>
    random.hex(staticKeyLineBytes),
  );
  return ["-----BEGIN OpenVPN Static key V1-----", ...lines, "-----END OpenVPN Static key V1-----", ""].join(
    "\n",
  );
}

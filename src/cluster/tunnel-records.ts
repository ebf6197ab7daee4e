import type { Random } from "#base/runtime.ts";
import type { SiteName } from "#base/ids.ts";
import type { DesiredCloud } from "#cluster/host-plans.ts";
import { keys } from "#cluster/records.ts";
import type { TunnelRecord } from "#cluster/records.ts";
import { sitesOfPair, tunnelsNeeded } from "#cluster/tunnels.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import type { HostReport } from "#protocol/host-report.ts";

const staticKeyBytes = 256;
const staticKeyLineBytes = 16;

/** What the gateways and hosts tell, as far as tunnels follow from it. */
export type TunnelWitness = {
  readonly reports: readonly HostReport[];
  /** Every known host is heard of, and matches its newest plan. */
  readonly allMatch: boolean;
};

/**
 * The next step of every tunnel's record. Those no longer needed keep their numbers for the next time.
 *
 *   (none) ──needed──► unguarded ──both gateways guard──► guarded ──not needed, and all hosts match──► unguarded
 */
export function tunnelRecordWrites(
  cloud: DesiredCloud,
  witness: TunnelWitness,
  random: Random,
): StoreWrite[] {
  const needed = tunnelsNeeded(cloud.ensembles, cloud.hosts, cloud.topology);
  const taken = new Set([...cloud.tunnels.values()].map((tunnel) => tunnel.index));
  const writes: StoreWrite[] = [];
  const put = (pair: string, value: TunnelRecord): void =>
    void writes.push({ put: keys.tunnel(pair), value });
  for (const pair of needed.keys()) {
    if (cloud.tunnels.has(pair)) continue;
    let index = 0;
    while (taken.has(index)) index += 1;
    taken.add(index);
    put(pair, { index, sharedKey: openVpnStaticKey(random), guarded: false });
  }
  for (const [pair, record] of cloud.tunnels) {
    const [a, b] = sitesOfPair(pair);
    if (!record.guarded && needed.has(pair) && guards(a, b, witness) && guards(b, a, witness)) {
      put(pair, { ...record, guarded: true });
    }
    if (record.guarded && !needed.has(pair) && witness.allMatch) put(pair, { ...record, guarded: false });
  }
  return writes;
}

/** No record has a step to go until the desired state changes. */
export function tunnelsSettled(cloud: DesiredCloud): boolean {
  const needed = tunnelsNeeded(cloud.ensembles, cloud.hosts, cloud.topology);
  const guarded = [...cloud.tunnels].filter(([, record]) => record.guarded).map(([pair]) => pair);
  return guarded.length === needed.size && guarded.every((pair) => needed.has(pair));
}

/** A gateway that lists a tunnel, up or not, lets nothing for that site pass beside it. */
function guards(here: SiteName, peer: SiteName, witness: TunnelWitness): boolean {
  return witness.reports.some(
    (report) =>
      report.role === "gateway" &&
      report.site === here &&
      report.tunnels.some((tunnel) => tunnel.peerSite === peer),
  );
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

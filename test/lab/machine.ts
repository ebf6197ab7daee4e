import { hostId, siteName } from "#base/ids.ts";
import { bitsPerSecond, mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { LabMachine } from "#lab/machine.ts";
import type { Topology } from "#model/topology.ts";

export function realMachine(): LabMachine {
  const clock = systemClock();
  return {
    clock,
    random: systemRandom(),
    log: silentLog,
    subprocess: systemSubprocess(),
    cgroups: systemCgroups(clock),
  };
}

/** Hosts "s1h1"…, a switch "s1sw" and a gateway "s1gw" a site, one router "router" when there are several sites. */
export function plainTopology(options: {
  sites: number;
  hostsPerSite: number;
  bandwidthMbps?: number;
  /** One way, of each link between a gateway and the router. */
  wanLatencyUs?: number;
}): Topology {
  const bandwidthBps = megabitsPerSecond(options.bandwidthMbps ?? 1000);
  const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
  const sites = range(options.sites);
  const several = options.sites > 1;
  const local = { bandwidthBps, latencyUs: micros(0) };
  const away = { bandwidthBps: bitsPerSecond(bandwidthBps), latencyUs: micros(options.wanLatencyUs ?? 0) };
  return {
    sites: sites.map((site) => ({ name: siteName(`site${site}`), tunnel: "vxlan" })),
    hosts: sites.flatMap((site) =>
      range(options.hostsPerSite).map((host) => ({
        id: hostId(`s${site}h${host}`),
        site: siteName(`site${site}`),
        cpuMilli: milliCpu(500),
        memoryBytes: mebibytes(256),
        labels: {},
      })),
    ),
    devices: [
      ...sites.flatMap((site) => [
        { id: `s${site}sw`, kind: "switch" as const, site: siteName(`site${site}`) },
        { id: `s${site}gw`, kind: "gateway" as const, site: siteName(`site${site}`) },
      ]),
      ...(several ? [{ id: "router", kind: "router" as const }] : []),
    ],
    links: sites.flatMap((site) => [
      ...range(options.hostsPerSite).map((host) => ({ a: `s${site}h${host}`, b: `s${site}sw`, ...local })),
      { a: `s${site}gw`, b: `s${site}sw`, ...local },
      ...(several ? [{ a: `s${site}gw`, b: "router", ...away }] : []),
    ]),
  };
}

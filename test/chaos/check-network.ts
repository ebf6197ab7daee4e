import { megabitsPerSecond } from "#base/units.ts";
import { wireRate } from "#model/wire.ts";
import type { Found } from "./found.ts";
import type { HostKernel } from "./kernel.ts";
import type { Link, World } from "./workload.ts";

/** The classes every uplink has: all of it, and traffic without a promise. */
const rootClass = "c057:1";
const plainClass = "c057:2";

/**
 * What a host's network has to consist of, a line each, worked out from where the appliances were found to run and
 * what was declared. Names that hold numbers of the managers' choice are left out.
 */
export function expectedNetwork(kernel: HostKernel, found: readonly Found[], world: World): string[] {
  const here = found.filter(({ host }) => host === kernel.host);
  const ensembles = [...new Set(here.map(({ ensemble }) => ensemble))];
  return [
    ...(here.length === 0 ? [] : ["table bridge consort", "table ip consort"]),
    ...ensembles.flatMap((name) => [
      `bridge ${name}/lan up`,
      `vxlan ${name}/lan up`,
      `veth ${name}/lan names ${namingAddress(here, name)}/24 up`,
    ]),
    ...here.flatMap(({ ensemble, member, mac, address }) => [
      `veth ${ensemble}/lan ${ensemble}/${member.name} eth0 ${address}/24 up`,
      `source ${mac} ${address}`,
    ]),
    ...here.flatMap((one) => expectedPairs(one, found, world, kernel.classes.get(rootClass)?.rateBps)),
    `class ${rootClass}`,
    `class ${plainClass}`,
  ];
}

/** Who serves a network's names has the first address of its subnet. */
function namingAddress(here: readonly Found[], ensemble: string): string {
  const [member] = here.filter((one) => one.ensemble === ensemble);
  return member?.address.replace(/\.\d+$/, ".1") ?? "none";
}

function expectedPairs(
  one: Found,
  found: readonly Found[],
  world: World,
  uplinkBps: number | undefined,
): string[] {
  const links = world.get(one.ensemble)?.links ?? [];
  return found
    .filter((other) => other.ensemble === one.ensemble && other.mac !== one.mac)
    .flatMap((other) => {
      const link = links.find(({ a, b }) => joins(a, b, one.member.name, other.member.name));
      const out = `pair ${one.mac}>${other.mac}`;
      if (other.host !== one.host) {
        // Coming from elsewhere it has been shaped there.
        return [`${out} ${shape(link, uplinkBps ?? 0)}`, `pair ${other.mac}>${one.mac} plain`];
      }
      return [`${out} ${link?.ceilingMbps === undefined ? "plain" : "on a port"}`];
    });
}

const joins = (a: string, b: string, one: string, other: string): boolean =>
  (a === one && b === other) || (a === other && b === one);

/** Spare bandwidth is borrowed up to what the uplink as a whole may send. */
function shape(link: Link | undefined, uplinkBps: number): string {
  if (link === undefined) return "plain";
  const rate = wireRate(megabitsPerSecond(link.mbps), "intra-switch");
  const ceiling =
    link.ceilingMbps === undefined
      ? uplinkBps
      : wireRate(megabitsPerSecond(link.ceilingMbps), "intra-switch");
  return `rate ${inTenths(rate)} ceiling ${inTenths(ceiling)}`;
}

/** tc prints fewer digits than it keeps. */
const inTenths = (bps: number): string => `${(bps / 1e6).toFixed(1)}M`;

/** The same lines from what the kernel has. */
export function foundNetwork(kernel: HostKernel): string[] {
  const used = new Set(kernel.pairs.values());
  return [
    ...kernel.tables.map((table) => `table ${table}`),
    ...kernel.links.map(withoutName),
    ...kernel.sources.map((source) => `source ${source.split(" ").slice(1).join(" ")}`),
    ...[...kernel.pairs].map(([pair, classId]) => `pair ${pair} ${describeClass(kernel, classId)}`),
    ...[...kernel.classes.keys()]
      .filter((classId) => classId === rootClass || classId === plainClass || !used.has(classId))
      .map((classId) => `class ${classId}`),
  ];
}

function describeClass(kernel: HostKernel, classId: string): string {
  if (classId === plainClass) return "plain";
  const known = kernel.classes.get(classId);
  if (known === undefined) return "on a port";
  return `rate ${inTenths(known.rateBps)} ceiling ${inTenths(known.ceilBps)}`;
}

/** "vxlan cstv1 e1/lan from 172.30.1.11 up" → "vxlan e1/lan up" */
function withoutName(link: string): string {
  const [kind, , alias, ...rest] = link.split(" ");
  if (rest[0] === "names") return [kind, alias, "names", rest[1], rest.at(-1)].join(" ");
  return [kind, alias, ...(kind === "veth" ? rest : rest.slice(-1))].join(" ");
}

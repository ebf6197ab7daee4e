import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { netnsName } from "#lab/names.ts";
import { setDifference } from "./found.ts";
import type { Found, Place } from "./found.ts";
import { cgroupTrees, processesOf } from "./kernel.ts";
import type { Process } from "./kernel.ts";

const run = promisify(execFile);

export function managerProcesses(lab: string): Process[] {
  return processesOf(cgroupTrees().map((tree) => `${tree}/consort/${lab}/managers`));
}

/** "host-a1", "cluster", "supervisor", "factory", "wireguard-go", …; the command itself for a stranger. */
export function roleOf({ command }: Process): string {
  const config = /\/src\/main\/\S+ --config \S*\/([\w-]+)\.json$/.exec(command)?.[1];
  if (config !== undefined) return config;
  if (/\/src\/main\/lab-supervisor\.ts /.test(command)) return "supervisor";
  if (/supervisor\.pl factory(?: \d+)+$/.test(command)) return "factory";
  if (command.startsWith("wireguard-go ")) return "wireguard-go";
  return command;
}

/** One process of each, and the helpers of those that have one. */
export function managerProblems(place: Place): string[] {
  const { lab, hosts, gateways } = place;
  const expected = ["supervisor", "cluster", ...[...hosts, ...gateways].map((host) => `host-${host}`)];
  const roles = managerProcesses(lab).map(roleOf);
  const helpers = roles.filter((role) => role === "factory").length;
  return [
    ...setDifference(
      "managers",
      expected,
      roles.filter((role) => role !== "factory" && role !== "wireguard-go"),
    ),
    ...(helpers <= hosts.length ? [] : [`managers: ${helpers} factories for ${hosts.length} hosts`]),
  ];
}

/** A tunnel at each gateway while an ensemble spans both sites, and nothing of one otherwise. */
export async function gatewayProblems(place: Place, found: readonly Found[]): Promise<string[]> {
  const sitesOf = new Map<string, Set<string>>();
  for (const { ensemble, host } of found) {
    sitesOf.set(ensemble, (sitesOf.get(ensemble) ?? new Set()).add(host.charAt(0)));
  }
  const spanning = [...sitesOf.values()].some((sites) => sites.size > 1);
  const daemons = managerProcesses(place.lab).filter((process) => roleOf(process) === "wireguard-go").length;
  const wanted = spanning ? place.gateways.length : 0;
  const each = await Promise.all(
    place.gateways.map(async (gateway) => {
      const namespace = netnsName(place.lab, gateway);
      const [links, tables, rules] = await Promise.all([
        run("ip", ["-n", namespace, "-o", "link", "show"]),
        run("nsenter", [`--net=/run/netns/${namespace}`, "nft", "list", "tables"]),
        run("ip", ["-n", namespace, "rule", "show"]),
      ]);
      const count = (text: string, what: RegExp): number => text.match(what)?.length ?? 0;
      return [
        `${count(links.stdout, /^\d+: cst/gm)} devices`,
        `${count(tables.stdout, /^table/gm)} tables`,
        `${count(rules.stdout, /lookup 7061/g)} rules`,
      ].map((fact) => `${gateway} ${fact}`);
    }),
  );
  const one = spanning ? 1 : 0;
  const expected = place.gateways.flatMap((gateway) =>
    ["devices", "tables", "rules"].map((kind) => `${gateway} ${one} ${kind}`),
  );
  return [
    ...(daemons === wanted ? [] : [`${daemons} tunnel processes, wanted ${wanted}`]),
    ...setDifference("tunnels", expected, each.flat()),
  ];
}

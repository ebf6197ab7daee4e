import { readdirSync, readFileSync } from "node:fs";
import { netnsName } from "#lab/names.ts";
import { pings, readHost, readInside } from "./kernel.ts";
import type { HostKernel } from "./kernel.ts";
import { expectedNetwork, foundNetwork } from "./check-network.ts";
import { gatewayProblems, managerProblems } from "./check-managers.ts";
import { setDifference } from "./found.ts";
import type { Found, Place } from "./found.ts";
import { tagOf } from "./workload.ts";
import type { Declared, World } from "./workload.ts";

/** Machines a host keeps ready for its next appliances. */
const sparesPerHost = 4;
const supervisorTitle = "consort-supervisor";

/** All in which the world differs from what was declared, as its kernel tells; empty when they match. */
export async function differences(place: Place, world: World): Promise<string[]> {
  const kernels = await Promise.all(place.hosts.map((host) => readHost(place.lab, host)));
  const problems = [
    ...kernels.flatMap((kernel) => groupProblems(place, kernel)),
    ...tagProblems(kernels, world),
    ...managerProblems(place),
  ];
  if (problems.length > 0) return problems;
  const found = await findAppliances(place, kernels, world);
  problems.push(...found.flatMap((one) => applianceProblems(one, found)), ...placementProblems(found, world));
  for (const kernel of kernels) {
    problems.push(...namingProblems(kernel, found));
    const expected = expectedNetwork(kernel, found, world);
    const actual = foundNetwork(kernel);
    problems.push(...setDifference(`${kernel.host} network`, expected, actual));
  }
  problems.push(...(await gatewayProblems(place, found)));
  return problems.length > 0 ? problems : unanswered(found);
}

/** A group, a namespace and a directory for each machine, one supervisor in it, and at most one command. */
function groupProblems(place: Place, { host, groups, namespaces }: HostKernel): string[] {
  const numbers = groups.map(({ name }) => name.replace("task-", "")).sort();
  const directories = readdirSync(`${place.stateDir}/hosts/${host}/tasks/slots`).sort();
  const spares = groups.filter(({ processes }) => processes.length === 1).length;
  return [
    ...setDifference(`${host} namespaces`, numbers, namespaces),
    ...setDifference(`${host} slot directories`, numbers, directories),
    ...(spares === sparesPerHost ? [] : [`${host}: ${spares} spare machines`]),
    ...groups.flatMap(({ name, processes }) => {
      const supervisors = processes.filter(({ command }) => command === supervisorTitle).length;
      const others = processes.filter(
        ({ command }) => command !== supervisorTitle && !command.includes("chaos:"),
      );
      return [
        ...(supervisors === 1 ? [] : [`${host} ${name}: ${supervisors} supervisors`]),
        ...(processes.length - supervisors - others.length <= 1 ? [] : [`${host} ${name}: two commands`]),
        ...others.map(({ command }) => `${host} ${name}: strange process "${command}"`),
      ];
    }),
  ];
}

/** One dnsmasq for each network that has a member here, and one for the host where there is any. */
function namingProblems({ host, naming }: HostKernel, found: readonly Found[]): string[] {
  const networks = new Set(found.filter((one) => one.host === host).map(({ ensemble }) => ensemble)).size;
  const wanted = networks === 0 ? 0 : networks + 1;
  return [
    ...(naming.length === wanted ? [] : [`${host}: ${naming.length} serve names, wanted ${wanted}`]),
    ...naming
      .filter(
        ({ processes }) => processes.length !== 1 || processes[0]?.command.startsWith("dnsmasq ") !== true,
      )
      .map(({ name, processes }) => `${host} ${name}: ${processes.map(({ command }) => command).join(", ")}`),
  ];
}

function tagProblems(kernels: readonly HostKernel[], world: World): string[] {
  const actual = kernels.flatMap(({ groups }) => groups.flatMap(({ processes }) => processes.flatMap(tagIn)));
  const expected = [...world.values()].flatMap(({ name, members }) =>
    members.map((member) => tagOf(name, member)),
  );
  return setDifference("appliances", expected, actual);
}

const tagIn = ({ command }: { command: string }): string[] => /chaos:\S+/.exec(command)?.slice(0, 1) ?? [];

async function findAppliances(place: Place, kernels: readonly HostKernel[], world: World): Promise<Found[]> {
  const members = new Map(
    [...world.values()].flatMap(({ name, members: all }) =>
      all.map((member) => [tagOf(name, member), { ensemble: name, member }]),
    ),
  );
  const found = kernels.flatMap(({ host, groups }) =>
    groups.flatMap(({ name, processes }) =>
      processes.flatMap((process) => {
        const known = members.get(tagIn(process)[0] ?? "");
        if (known === undefined) return [];
        const namespace = `${netnsName(place.lab, host)}.${name.replace("task-", "")}`;
        return [{ ...known, host, pid: process.pid, group: name, namespace }];
      }),
    ),
  );
  return Promise.all(
    found.map(async (one) => {
      const inside = (await readInside(one.namespace)).get("eth0");
      return { ...one, mac: inside?.up === true ? inside.mac : "none", address: inside?.address ?? "none" };
    }),
  );
}

/** Its limit, and that it knows its neighbours by name. */
function applianceProblems(one: Found, all: readonly Found[]): string[] {
  const about = `${one.ensemble}/${one.member.name} on ${one.host}`;
  const limit = memoryLimit(one.pid);
  const wanted = one.member.memoryMiB * 2 ** 20;
  const names = hostsFile(one.pid);
  return [
    ...(limit === wanted ? [] : [`${about}: memory limit ${limit}, wanted ${wanted}`]),
    ...all
      .filter(({ ensemble }) => ensemble === one.ensemble)
      .filter(({ member, address }) => names.get(member.name) !== address)
      .map(({ member }) => `${about}: knows ${member.name} as ${names.get(member.name) ?? "nobody"}`),
  ];
}

function memoryLimit(pid: number): number | undefined {
  for (const line of readText(`/proc/${pid}/cgroup`).split("\n")) {
    const [, controllers = "", path = ""] = line.split(":");
    if (controllers !== "memory" && controllers !== "") continue;
    const files = [`/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`, `/sys/fs/cgroup${path}/memory.max`];
    const text = files.map(readText).find((content) => content !== "");
    if (text !== undefined) return Number(text);
  }
  return undefined;
}

function hostsFile(pid: number): ReadonlyMap<string, string> {
  const lines = readText(`/proc/${pid}/root/etc/hosts`).split("\n");
  return new Map(
    lines
      .map((line) => line.trim().split(/\s+/))
      .filter(([address]) => address?.startsWith("10.") === true)
      .flatMap(([address = "", ...names]) => names.map((name): [string, string] => [name, address])),
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Where the declaration leaves no choice. Hosts are called after their site's first letter. */
function placementProblems(found: readonly Found[], world: World): string[] {
  const hostOf = (declared: Declared, index: number): string | undefined =>
    found.find(
      ({ ensemble, member }) => ensemble === declared.name && member.name === declared.members[index]?.name,
    )?.host;
  return [
    ...found
      .filter(({ member, host }) => member.site !== undefined && !member.site.startsWith(host.charAt(0)))
      .map(({ ensemble, member, host }) => `${ensemble}/${member.name} is on ${host}, not in ${member.site}`),
    ...[...world.values()]
      .filter((declared) => declared.apart && hostOf(declared, 0) === hostOf(declared, 1))
      .map((declared) => `${declared.name}: its first two are both on ${hostOf(declared, 0)}`),
  ];
}

/** Every two members of an ensemble hear each other. */
async function unanswered(found: readonly Found[]): Promise<string[]> {
  const pairs = found.flatMap((one, index) =>
    found
      .slice(index + 1)
      .flatMap((other) => (other.ensemble === one.ensemble ? [[one, other] as const] : [])),
  );
  const answers = await Promise.all(
    pairs.map(async ([one, other]) => {
      if (await pings(one.namespace, other.address)) return [];
      return [
        `${one.ensemble}: ${one.member.name} on ${one.host} does not hear ${other.member.name} on ${other.host}`,
      ];
    }),
  );
  return answers.flat();
}

import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { netnsName } from "#lab/names.ts";

/** What one lab host's kernel says of itself, read with the kernel's own tools and without any manager's code. */
export type HostKernel = {
  readonly host: string;
  /** Control groups of appliances below the host's, each with its processes. */
  readonly groups: readonly Group[];
  /** Those of who serves names: one for each segment, and the host's own. */
  readonly naming: readonly Group[];
  /** Numbers of the appliances' network namespaces. */
  readonly namespaces: readonly string[];
  /** Links of ours in the host's namespace: "kind name alias up|down". */
  readonly links: readonly string[];
  readonly tables: readonly string[];
  /** "from>to" → class of the uplink, or that of unshaped traffic. */
  readonly pairs: ReadonlyMap<string, string>;
  /** "port mac address" */
  readonly sources: readonly string[];
  /** Class → bits per second of its rate and ceiling. */
  readonly classes: ReadonlyMap<string, { rateBps: number; ceilBps: number }>;
};

export type Group = { readonly name: string; readonly processes: readonly Process[] };
export type Process = { readonly pid: number; readonly command: string };

const run = promisify(execFile);
const markOfLinks = "cst";

export async function readHost(lab: string, host: string): Promise<HostKernel> {
  const namespace = netnsName(lab, host);
  const [links, rules, classes] = await Promise.all([
    output("ip", ["-n", namespace, "-d", "-j", "link", "show"]),
    output("nsenter", [`--net=/run/netns/${namespace}`, "nft", "-j", "list", "ruleset"]),
    output("tc", ["-n", namespace, "class", "show", "dev", "uplink"]),
  ]);
  const filter = readFilter(rules);
  const groups = readGroups(lab, host);
  const servesNames = ({ name }: Group): boolean => name.startsWith("naming-");
  return {
    host,
    groups: groups.filter((group) => !servesNames(group)),
    naming: groups.filter(servesNames),
    namespaces: readdirSync("/run/netns")
      .filter((name) => name.startsWith(`${namespace}.`))
      .map((name) => name.slice(namespace.length + 1))
      .sort(),
    links: readLinks(links),
    classes: readClasses(classes),
    ...filter,
  };
}

async function output(file: string, args: readonly string[]): Promise<string> {
  return (await run(file, args, { maxBuffer: 2 ** 24 })).stdout;
}

/** Where the kernel keeps processes by group; the trees of all controllers have the same groups. */
export function cgroupTrees(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter((fields) => fields.includes("cgroup") || fields.includes("cgroup2"))
    .map((fields) => fields[4] ?? "")
    .filter((path) => path !== "");
}

function readGroups(lab: string, host: string): Group[] {
  const names = new Set(cgroupTrees().flatMap((tree) => directoriesIn(`${tree}/consort/${lab}/${host}`)));
  return [...names].sort().map((name) => ({
    name,
    processes: processesOf(cgroupTrees().map((tree) => `${tree}/consort/${lab}/${host}/${name}`)),
  }));
}

/** Processes of a group, whichever of its trees they are in. */
export function processesOf(directories: readonly string[]): Process[] {
  const pids = new Set(directories.flatMap((directory) => linesOf(`${directory}/cgroup.procs`)).map(Number));
  return [...pids].flatMap((pid) => {
    const command = commandOf(pid);
    return command === "" ? [] : [{ pid, command }];
  });
}

/** Empty for one that has ended. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

export function allProcesses(): Process[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid))
    .map((pid) => ({ pid, command: commandOf(pid) }));
}

function directoriesIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

type ShownLink = {
  ifname: string;
  ifalias?: string;
  flags: string[];
  linkinfo?: { info_kind?: string };
};

function readLinks(json: string): string[] {
  return (JSON.parse(json) as ShownLink[])
    .filter((link) => link.ifname.startsWith(markOfLinks))
    .map(
      ({ ifname, ifalias = "", flags, linkinfo }) =>
        `${linkinfo?.info_kind ?? "?"} ${ifname} ${ifalias} ${flags.includes("UP") ? "up" : "down"}`,
    )
    .sort();
}

type Concat = { concat: string[] };
type Element = Concat | { elem: { val: Concat } };
type Listed = {
  table?: { family: string; name: string };
  set?: { name: string; elem?: Element[] };
  map?: { name: string; elem?: [Element, string][] };
};

function readFilter(json: string): Pick<HostKernel, "tables" | "pairs" | "sources"> {
  const listed = (JSON.parse(json) as { nftables: Listed[] }).nftables;
  const words = (element: Element): string[] =>
    "elem" in element ? element.elem.val.concat : element.concat;
  return {
    tables: listed
      .flatMap(({ table }) => (table === undefined ? [] : [`${table.family} ${table.name}`]))
      .sort(),
    pairs: new Map(
      listed
        .flatMap(({ map }) => (map?.name === "pairs" ? (map.elem ?? []) : []))
        .map(([pair, classId]) => [words(pair).join(">"), classId]),
    ),
    sources: listed
      .flatMap(({ set }) => (set?.name === "sources" ? (set.elem ?? []) : []))
      .map((source) => words(source).join(" "))
      .sort(),
  };
}

const bitsPer: Readonly<Record<string, number>> = { bit: 1, Kbit: 1e3, Mbit: 1e6, Gbit: 1e9 };

function readClasses(text: string): HostKernel["classes"] {
  const rate = (line: string, word: string): number => {
    const [, value, unit = ""] = new RegExp(`\\b${word} ([\\d.]+)([KMG]?bit)`).exec(line) ?? [];
    return Number(value) * (bitsPer[unit] ?? Number.NaN);
  };
  return new Map(
    text
      .split("\n")
      .filter((line) => line.startsWith("class htb"))
      .map((line) => [
        line.split(" ")[2] ?? "",
        { rateBps: rate(line, "rate"), ceilBps: rate(line, "ceil") },
      ]),
  );
}

/** MAC and address of each interface inside an appliance, by its name there. */
export async function readInside(
  namespace: string,
): Promise<ReadonlyMap<string, { mac: string; address: string; up: boolean }>> {
  type Shown = {
    ifname: string;
    address: string;
    flags: string[];
    addr_info: { family: string; local: string }[];
  };
  const shown = JSON.parse(await output("ip", ["-n", namespace, "-j", "addr", "show"])) as Shown[];
  return new Map(
    shown
      .filter(({ ifname }) => ifname !== "lo")
      .map(({ ifname, address, flags, addr_info }) => [
        ifname,
        {
          mac: address,
          address: addr_info.find(({ family }) => family === "inet")?.local ?? "",
          up: flags.includes("UP"),
        },
      ]),
  );
}

/** One echo from inside an appliance; true when it is answered. */
export async function pings(namespace: string, address: string): Promise<boolean> {
  const inside = [`--net=/run/netns/${namespace}`];
  return run("nsenter", [...inside, "ping", "-nqc1", "-W2", address]).then(
    () => true,
    () => false,
  );
}

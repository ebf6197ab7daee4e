import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { labCgroup, type LabPlace } from "#lab/names.ts";
import { markedNamespaces } from "#lab/namespaces.ts";
import type { LabMachine } from "#lab/machine.ts";

/** Everything on this machine that could only be the lab's; empty when it is gone. */
export function marksOf(place: LabPlace, machine: LabMachine): string[] {
  const roots = [`${place.stateRoot}/labs`, `${place.runRoot}/labs`];
  const groups = machine.cgroups.open(labCgroup(place.name)).procsFiles();
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return [
    ...markedNamespaces(place.name).map((name) => `namespace ${name}`),
    ...groups.map(dirname).filter((path) => existsSync(path)),
    ...roots.filter((path) => existsSync(path)),
    ...mounts.filter(
      (line) => roots.some((root) => line.includes(root)) || line.includes(`cst-${place.name}-`),
    ),
    ...processesNaming(place.stateRoot),
  ];
}

function processesNaming(path: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return command.includes(path) ? [`process ${pid}: ${command}`] : [];
      } catch {
        return [];
      }
    });
}

/** What the root namespace has of links, routing rules and nft tables: a lab adds nothing to it, ever. */
export async function rootNetwork(machine: LabMachine, signal: AbortSignal): Promise<string[]> {
  const links = await machine.subprocess.check("ip", ["-o", "link", "show"], signal);
  const rules = await machine.subprocess.check("ip", ["rule", "show"], signal);
  const tables = await machine.subprocess.check("nft", ["list", "tables"], signal);
  const names = links.split("\n").map((line) => `link ${line.split(":")[1] ?? ""}`);
  return [...names, ...rules.split("\n"), ...tables.split("\n")].map((line) => line.trim()).sort();
}

import { readFileSync } from "node:fs";
import type { Random } from "#base/runtime.ts";
import { managerProcesses, roleOf } from "./check-managers.ts";
import { allProcesses } from "./kernel.ts";
import type { Process } from "./kernel.ts";
import { pick } from "./workload.ts";

/** Kinds of processes, each as likely to be chosen as it stands here. */
const kinds = [
  "cluster",
  "cluster",
  "host",
  "host",
  "host",
  "gateway",
  "wireguard-go",
  "factory",
  "supervisor",
  "machine",
  "command",
] as const;
type Kind = (typeof kinds)[number];

/** Kills one random process of the lab at once and gives its role; nothing when none of the drawn kind runs. */
export function killOne(lab: string, random: Random): string[] {
  const kind = pick(kinds, random) ?? "host";
  const victim = pick(candidates(lab, kind), random);
  if (victim === undefined || !killed(victim)) return [];
  const role = roleOf(victim);
  return [role === victim.command ? `${kind} ${victim.pid}` : role];
}

/** Everything that manages, and every tunnel, within a moment; what they manage lives on. Gives their roles. */
export function killAllManagers(lab: string): string[] {
  return managerProcesses(lab).filter(killed).map(roleOf);
}

function killed({ pid }: Process): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

function candidates(lab: string, kind: Kind): Process[] {
  switch (kind) {
    case "machine":
      return ofAppliances(lab).filter(({ command }) => command === "consort-supervisor");
    case "command":
      return ofAppliances(lab).filter(({ command }) => command.includes("chaos:"));
    case "host":
      return managerProcesses(lab).filter((process) => /^host-[ab]\d/.test(roleOf(process)));
    case "gateway":
      return managerProcesses(lab).filter((process) => roleOf(process).startsWith("host-gw"));
    default:
      return managerProcesses(lab).filter((process) => roleOf(process) === kind);
  }
}

function ofAppliances(lab: string): Process[] {
  return allProcesses().filter(
    ({ pid, command }) =>
      (command === "consort-supervisor" || command.includes("chaos:")) &&
      groupOf(pid).includes(`/consort/${lab}/`),
  );
}

function groupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return "";
  }
}

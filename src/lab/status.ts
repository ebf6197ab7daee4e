import { readFileSync } from "node:fs";
import { layOut, type LabNode } from "#lab/layout.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labCgroup, labPaths, netnsName, type LabPlace } from "#lab/names.ts";
import { isNamespace, markedNamespaces } from "#lab/namespaces.ts";
import { findRunning } from "#lab/keeper.ts";
import { nodesOff } from "#lab/power-record.ts";
import { isPaused, type ProcessMark } from "#lab/processes.ts";
import { managerOf } from "#lab/programs.ts";
import { readPrograms } from "#lab/programs-file.ts";
import { readRecord } from "#lab/record.ts";
import { supervisorOf } from "#lab/supervision.ts";

export type LabStatus = {
  readonly name: string;
  /**
   * down: nothing of it is there. up: all of it is, but what was powered off. partial: something is missing; `lab up` repairs it, unless
   * there is no record of it, then only `lab down` helps.
   */
  readonly state: "down" | "partial" | "up";
  readonly recorded: boolean;
  readonly stateDir: string;
  readonly runDir: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly kind: LabNode["kind"];
    readonly site?: string;
    readonly netns: string;
    readonly address?: string;
    readonly present: boolean;
    /** off: powered off on purpose. paused: its manager stands still. Absent on nodes that have no manager. */
    readonly power?: "on" | "off" | "paused";
  }[];
  readonly supervisor?: ProcessMark;
  readonly programs: readonly { readonly name: string; readonly process?: ProcessMark }[];
  /** What the cluster manager wrote of where its API listens. */
  readonly api?: { readonly url: string };
};

/** Looks, changes nothing. */
export function statusOf(place: LabPlace, machine: LabMachine): LabStatus {
  const paths = labPaths(place);
  const marked = markedNamespaces(place.name);
  const record = readRecord(paths.recordFile);
  const layout = record === undefined ? undefined : layOut(record.topology);
  const programs = readPrograms(paths.programsFile).map((program) => {
    const found = findRunning(program, place.name, machine);
    return { name: program.name, ...(found === undefined ? {} : { process: found }) };
  });
  const off = nodesOff(place);
  const nodes = (layout?.nodes ?? []).map((node) => {
    const netns = netnsName(place.name, node.id);
    const site = layout?.sites[node.siteIndex - 1]?.site;
    const address = node.interfaces.find(({ name }) => name === "uplink")?.address?.split("/")[0];
    return {
      id: node.id,
      kind: node.kind,
      netns,
      present: isNamespace(netns),
      ...(node.kind === "host" || node.kind === "gateway" ? { power: powerOf(node.id, off, programs) } : {}),
      ...(site === undefined ? {} : { site }),
      ...(address === undefined ? {} : { address }),
    };
  });
  const supervisor = supervisorOf(place);
  const api = readApi(paths.apiFile);
  const anything = record !== undefined || marked.length > 0 || groupExists(place.name, machine);
  const all =
    nodes.length > 0 &&
    nodes.every(({ present, power }) => present !== (power === "off")) &&
    programs.every((program) => (program.process === undefined) === isOff(program.name, off)) &&
    (programs.length === 0 || supervisor !== undefined);
  return {
    name: place.name,
    state: all ? "up" : anything ? "partial" : "down",
    recorded: record !== undefined,
    stateDir: paths.stateDir,
    runDir: paths.runDir,
    nodes,
    programs,
    ...(supervisor === undefined ? {} : { supervisor }),
    ...(api === undefined ? {} : { api }),
  };
}

const isOff = (program: string, off: ReadonlySet<string>): boolean =>
  [...off].some((node) => program === managerOf(node));

function powerOf(
  node: string,
  off: ReadonlySet<string>,
  programs: LabStatus["programs"],
): "on" | "off" | "paused" {
  if (off.has(node)) return "off";
  const manager = programs.find(({ name }) => name === managerOf(node))?.process;
  return manager !== undefined && isPaused(manager.pid) === true ? "paused" : "on";
}

const groupExists = (lab: string, machine: LabMachine): boolean =>
  machine.cgroups.open(labCgroup(lab)).exists();

function readApi(file: string): { url: string } | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value !== "object" || value === null || !("url" in value)) return undefined;
    return typeof value.url === "string" ? { url: value.url } : undefined;
  } catch {
    return undefined;
  }
}

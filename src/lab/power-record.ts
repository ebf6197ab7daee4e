import { labPaths, type LabPlace } from "#lab/names.ts";
import { readJson, writeDurably } from "#lab/record.ts";

/** Which nodes of a lab have no power: on disk before anything is done about it, so that whoever comes next agrees. */
export function nodesOff(place: LabPlace): ReadonlySet<string> {
  return new Set(readJson(labPaths(place).powerFile, isNames) ?? []);
}

export function writeNodesOff(place: LabPlace, nodes: ReadonlySet<string>): void {
  writeDurably(labPaths(place).powerFile, JSON.stringify([...nodes].sort()));
}

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((name) => typeof name === "string");

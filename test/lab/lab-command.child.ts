import { labDown, labUp } from "#lab/lab.ts";
import { powerOff, powerOn } from "#lab/power.ts";
import { plainTopology, realMachine } from "./machine.ts";

/**
 * A command that tests kill in the middle. `up` or `down`: name, state root and run root follow, and "managers" if
 * wanted. `off` or `on`: and the node.
 */
const [command = "", name = "", stateRoot = "", runRoot = "", more = ""] = process.argv.slice(2);
const place = { name, stateRoot, runRoot, machine: realMachine() };
const { signal } = new AbortController();
if (command === "up") {
  const topology = plainTopology({ sites: 2, hostsPerSite: 2, wanLatencyUs: 1000 });
  await labUp({ ...place, topology, managers: more !== "" }, signal);
} else if (command === "off" || command === "on") {
  await (command === "off" ? powerOff : powerOn)({ ...place, node: more }, signal);
} else {
  await labDown(place, signal);
}

import { labDown, labUp } from "#lab/lab.ts";
import { plainTopology, realMachine } from "./machine.ts";

/** `up` or `down` of the lab that kill.test.ts kills in the middle: name, state root and run root follow, and "managers" if wanted. */
const [command = "", name = "", stateRoot = "", runRoot = "", managers = ""] = process.argv.slice(2);
const place = { name, stateRoot, runRoot, machine: realMachine() };
const { signal } = new AbortController();
if (command === "up") {
  const topology = plainTopology({ sites: 2, hostsPerSite: 2, wanLatencyUs: 1000 });
  await labUp({ ...place, topology, managers: managers !== "" }, signal);
} else {
  await labDown(place, signal);
}

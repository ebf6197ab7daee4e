import { readdirSync, statfsSync } from "node:fs";
import { z } from "zod";
import type { Subprocess } from "#drivers/system/port.ts";
import { netnsMark, netnsPath } from "#lab/names.ts";

const nsfsMagic = 0x6e73_6673;

/** Names of all network namespaces that bear the lab's mark, appliances' included. */
export function markedNamespaces(lab: string): string[] {
  try {
    return readdirSync("/run/netns").filter((name) => name.startsWith(netnsMark(lab)));
  } catch {
    return [];
  }
}

/** False for the empty file that `ip netns add` leaves when it is killed before its mount. */
export function isNamespace(netns: string): boolean {
  try {
    return statfsSync(netnsPath(netns)).type === nsfsMagic;
  } catch {
    return false;
  }
}

const linksSchema = z.array(z.object({ ifname: z.string(), ifalias: z.string().optional() }));

/** Interface name → its alias, or "". */
export async function linksIn(
  netns: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const text = await subprocess.check("ip", ["-n", netns, "-json", "link", "show"], signal);
  const links = linksSchema.parse(JSON.parse(text));
  return new Map(links.map(({ ifname, ifalias }) => [ifname, ifalias ?? ""]));
}

/**
 * Takes the namespace's cables away at once. The kernel does so too when a namespace is removed, but whenever it comes
 * to it: until then packets still pass.
 */
export async function unplug(netns: string, subprocess: Subprocess, signal: AbortSignal): Promise<void> {
  if (!isNamespace(netns)) return;
  const text = await subprocess.check("ip", ["-n", netns, "-json", "link", "show", "type", "veth"], signal);
  const cables = linksSchema.parse(JSON.parse(text));
  const lines = cables.map(({ ifname }) => `link del ${ifname}\n`).join("");
  await subprocess.run("ip", ["-n", netns, "-force", "-batch", "-"], signal, { input: lines });
}

/** One process removes any number; a name that is gone already does not matter. */
export async function removeNamespaces(
  names: readonly string[],
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  if (names.length === 0) return;
  const lines = names.map((name) => `netns del ${name}\n`).join("");
  await subprocess.run("ip", ["-force", "-batch", "-"], signal, { input: lines });
}

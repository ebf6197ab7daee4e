import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { netnsMark, netnsName } from "#lab/names.ts";
import { namesAddress } from "#protocol/naming-address.ts";

/** What `ip netns exec` gives programs in place of files in /etc, by namespace. */
const place = "/etc/netns";

/** Programs run in a host's namespace by `ip netns exec` resolve its ensembles' names. */
export function writeResolvers(lab: string, hosts: readonly string[]): void {
  for (const host of hosts) {
    const directory = join(place, netnsName(lab, host));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "resolv.conf"), `nameserver ${namesAddress}\n`);
  }
}

export function removeResolvers(lab: string): void {
  for (const name of namesIn(place).filter((one) => one.startsWith(netnsMark(lab)))) {
    rmSync(join(place, name), { recursive: true, force: true });
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

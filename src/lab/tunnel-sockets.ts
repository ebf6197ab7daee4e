import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** User-space WireGuard keeps its control sockets here, whoever runs it, and leaves them behind when it is killed. */
const socketsDir = "/var/run/wireguard";

/** Removes the sockets of tunnels that gateways below `stateDir` have on record; their processes have been killed. */
export function removeTunnelSockets(stateDir: string): void {
  if (!existsSync(socketsDir)) return;
  for (const file of globSync("**/tunnels.json", { cwd: stateDir })) {
    for (const device of devicesIn(join(stateDir, file)))
      rmSync(join(socketsDir, `${device}.sock`), { force: true });
  }
}

function devicesIn(file: string): string[] {
  try {
    const records: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (!Array.isArray(records)) return [];
    return records.flatMap((record: unknown) =>
      typeof record === "object" && record !== null && "device" in record && typeof record.device === "string"
        ? [record.device].filter((device) => /^\w+$/.test(device))
        : [],
    );
  } catch {
    return [];
  }
}

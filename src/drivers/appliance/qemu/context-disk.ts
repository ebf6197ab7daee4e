import { chownSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import type { ContextNetwork } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { MachineRecord } from "./record.ts";
import type { PreparedDisk } from "./storage.ts";

const fileName = "context.iso";
const entropyBytes = 64;

export type ContextParts = {
  readonly networks: ReadonlyMap<NetworkId, ContextNetwork>;
  /** Who may log in besides those the plan names. */
  readonly hostKeys: readonly string[];
  readonly random: Random;
};

/** Written before each boot, as networks and keys may have changed; no guest can write to it. */
export function writeContextDisk(
  place: { readonly directory: string; readonly uid: number },
  record: MachineRecord,
  parts: ContextParts,
): PreparedDisk {
  const { directory, uid } = place;
  const file = join(directory, fileName);
  const context = guestContext({
    plan: record.plan,
    identity: record.identity,
    networks: parts.networks,
    hostKeys: parts.hostKeys,
    entropy: parts.random.hex(entropyBytes),
  });
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, contextDisk(context), { mode: 0o640, flag: "wx" });
  chownSync(file, 0, uid);
  return { name: diskSerials.context, readOnly: true, layers: [{ file, format: "raw" }] };
}

import { chownSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import type { ContextNetwork, GuestContext } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { MachineRecord } from "./record.ts";
import type { PreparedDisk } from "./storage.ts";

const fileName = "context.iso";
const entropyBytes = 64;
const rootUid = 0;

export type ContextParts = {
  readonly networks: ReadonlyMap<NetworkId, ContextNetwork>;
  readonly random: Random;
};

/** What a guest is told of itself, with fresh entropy. */
export function contextOf(record: MachineRecord, parts: ContextParts, clockMs?: number): GuestContext {
  const { login } = record.identity;
  return guestContext({
    plan: record.plan,
    identity: record.identity,
    networks: parts.networks,
    hostKeys: login === undefined ? [] : [login.publicKey],
    entropy: parts.random.hex(entropyBytes),
    ...(clockMs === undefined ? {} : { clockMs }),
  });
}

/** Written before each boot, as networks and keys may have changed; its machine can read it but not change it. */
export function writeContextDisk(
  place: { readonly directory: string; readonly uid: number },
  context: GuestContext,
): PreparedDisk {
  const file = join(place.directory, fileName);
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, contextDisk(context), { mode: 0o640, flag: "wx" });
  chownSync(file, rootUid, place.uid);
  return { name: diskSerials.context, readOnly: true, layers: [{ file, format: "raw" }] };
}

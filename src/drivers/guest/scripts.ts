import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the guest's own scripts are in this package. */
const sources = join(import.meta.dirname, "rootfs");

export type GuestScript = { readonly path: string; readonly content: Uint8Array; readonly mode: number };

type Place = readonly [source: string, path: string, mode: number];

const shared: readonly Place[] = [
  ["context.sh", "usr/lib/consort/context.sh", 0o644],
  ["listen.sh", "usr/lib/consort/listen", 0o755],
];
const ofKind = {
  tiny: [
    ["tiny-init.sh", "init", 0o755],
    ["tiny-identity-changed.sh", "usr/lib/consort/identity-changed", 0o755],
    ["tiny-lease.sh", "usr/lib/consort/lease", 0o755],
    ["tiny-shutdown.sh", "sbin/shutdown", 0o755],
  ],
} as const satisfies Record<string, readonly Place[]>;

/** What a guest needs of ours, by its path inside it. */
export async function guestScripts(kind: keyof typeof ofKind): Promise<readonly GuestScript[]> {
  const found: GuestScript[] = [];
  for (const [source, path, mode] of [...shared, ...ofKind[kind]])
    found.push({ path, content: await readFile(join(sources, source)), mode });
  return found;
}

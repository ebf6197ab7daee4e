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
    ["tiny-lease.sh", "usr/lib/consort/lease", 0o755],
    ["tiny-shutdown.sh", "sbin/shutdown", 0o755],
  ],
  debian: [
    ["debian-boot.sh", "usr/lib/consort/boot", 0o755],
    ["debian-console.sh", "usr/lib/consort/console", 0o755],
    ["consort-console.service", "etc/systemd/system/consort-console.service", 0o644],
    ["debian-identity-changed.sh", "usr/lib/consort/identity-changed", 0o755],
    ["consort-context.service", "etc/systemd/system/consort-context.service", 0o644],
    ["consort-listen.service", "etc/systemd/system/consort-listen.service", 0o644],
    ["debian-ssh.conf", "etc/systemd/system/ssh.service.d/consort.conf", 0o644],
    ["debian-udev-trigger.conf", "etc/systemd/system/systemd-udev-trigger.service.d/consort.conf", 0o644],
  ],
} as const satisfies Record<string, readonly Place[]>;

/** What a guest needs of ours, by its path inside it. */
export async function guestScripts(kind: keyof typeof ofKind): Promise<readonly GuestScript[]> {
  const found: GuestScript[] = [];
  for (const place of [...shared, ...ofKind[kind]]) found.push(await read(place));
  return found;
}

/** Process 1 of the Debian guest's initial RAM disk. */
export function debianInitrdScript(): Promise<GuestScript> {
  return read(["debian-initrd.sh", "init", 0o755]);
}

async function read([source, path, mode]: Place): Promise<GuestScript> {
  return { path, content: await readFile(join(sources, source)), mode };
}

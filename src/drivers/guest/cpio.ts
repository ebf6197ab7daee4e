import { Buffer } from "node:buffer";

/** What is in an archive, by its path without a leading slash. */
export type ArchiveEntry =
  | { readonly path: string; readonly kind: "directory"; readonly mode: number }
  | { readonly path: string; readonly kind: "file"; readonly mode: number; readonly content: Uint8Array }
  | { readonly path: string; readonly kind: "link"; readonly target: string }
  | {
      readonly path: string;
      readonly kind: "device";
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const fileTypes = { directory: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;
const trailer = "TRAILER!!!";

/**
 * An initial RAM disk in the kernel's "newc" format. The same entries give the same bytes: owners are root, times are
 * zero, numbers are the places in the list.
 */
export function cpioArchive(entries: readonly ArchiveEntry[]): Uint8Array {
  const parts = entries.flatMap((entry, index) => member(entry, index + 1));
  parts.push(...record(trailer, { inode: 0, mode: 0, links: 1 }, new Uint8Array()));
  return Buffer.concat(parts);
}

type Numbers = {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly major?: number;
  readonly minor?: number;
};

function member(entry: ArchiveEntry, inode: number): Uint8Array[] {
  const type = fileTypes[entry.kind];
  switch (entry.kind) {
    case "directory":
      return record(entry.path, { inode, mode: type | entry.mode, links: 2 }, new Uint8Array());
    case "file":
      return record(entry.path, { inode, mode: type | entry.mode, links: 1 }, entry.content);
    case "link":
      return record(entry.path, { inode, mode: type | 0o777, links: 1 }, Buffer.from(entry.target));
    case "device": {
      const { major, minor } = entry;
      return record(entry.path, { inode, mode: type | entry.mode, links: 1, major, minor }, new Uint8Array());
    }
    default:
      return entry satisfies never;
  }
}

/** Header, name and content, each padded to four bytes. */
function record(name: string, numbers: Numbers, content: Uint8Array): Uint8Array[] {
  const path = Buffer.from(`${name}\0`);
  const fields = [
    numbers.inode,
    numbers.mode,
    0, // user
    0, // group
    numbers.links,
    0, // time
    content.length,
    0, // device of the file system
    0,
    numbers.major ?? 0,
    numbers.minor ?? 0,
    path.length,
    0, // checksum, unused
  ];
  const header = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
  const head = Buffer.concat([Buffer.from(header), path]);
  return [head, padding(head.length), content, padding(content.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

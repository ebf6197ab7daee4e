import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * What a blob's file looked like when it was checked. The kernel changes the time with every write to the file, so one
 * that still looks the same was not written to, and need not be read again to be trusted. Second names (hard links) and
 * another mode change nothing of it.
 */
type Stamp = {
  readonly inode: string;
  readonly sizeBytes: string;
  readonly modifiedNs: string;
};

const extension = ".stamp";

export const stampPath = (directory: string, name: string): string => join(directory, `${name}${extension}`);
export const stampedName = (file: string): string | undefined =>
  file.endsWith(extension) ? file.slice(0, -extension.length) : undefined;

async function stampOf(blobFile: string): Promise<Stamp> {
  const { ino, size, mtimeNs } = await stat(blobFile, { bigint: true });
  return {
    inode: String(ino),
    sizeBytes: String(size),
    modifiedNs: String(mtimeNs),
  };
}

/** Lost with a loss of power at worst: then the file is read again. */
export async function writeStamp(stampFile: string, blobFile: string): Promise<void> {
  await writeFile(`${stampFile}.new`, JSON.stringify(await stampOf(blobFile)));
  await rename(`${stampFile}.new`, stampFile);
}

/** Whether the file looks as when it was checked. */
export async function bearsStamp(stampFile: string, blobFile: string): Promise<boolean> {
  const kept = await readFile(stampFile, "utf8").catch(() => undefined);
  return kept !== undefined && kept === JSON.stringify(await stampOf(blobFile));
}

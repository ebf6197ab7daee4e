import { copyFileSync, truncateSync } from "node:fs";
import { open } from "node:fs/promises";

const older = (file: string): string => `${file}.1`;

/**
 * Keeps one older file. The writer holds the file open for appending and goes on at its new end; what it writes
 * between copy and cut is lost, which is the price of not standing in its way.
 */
export function rotateOutput(file: string): void {
  copyFileSync(file, older(file));
  truncateSync(file, 0);
}

/** Up to `maxBytes` from the end of the older file followed by the present one. */
export async function readOutput(file: string, maxBytes: number, signal: AbortSignal): Promise<string> {
  const present = await tail(file, maxBytes);
  signal.throwIfAborted();
  if (present.length >= maxBytes) return present.toString();
  return Buffer.concat([await tail(older(file), maxBytes - present.length), present]).toString();
}

async function tail(file: string, maxBytes: number): Promise<Buffer> {
  let handle;
  try {
    handle = await open(file, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

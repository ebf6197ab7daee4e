import { Buffer } from "node:buffer";

export type TarFile = { readonly path: string; readonly mode: number; readonly content: Uint8Array };

const block = 512;
const sumAt = 148;
/** In bytes; what is longer would be cut off. */
export const longestTarPath = 99;

/** A POSIX archive of plain files with short names; owners are root and times zero, so that it is always the same. */
export function tarArchive(files: readonly TarFile[]): Uint8Array {
  const parts = files.flatMap(({ path, mode, content }) => [
    header(path, mode, content.length),
    content,
    new Uint8Array((block - (content.length % block)) % block),
  ]);
  return Buffer.concat([...parts, new Uint8Array(2 * block)]);
}

function header(path: string, mode: number, size: number): Uint8Array {
  const buffer = Buffer.alloc(block);
  const octal = (value: number, width: number): string => value.toString(8).padStart(width - 1, "0");
  buffer.write(path, 0, longestTarPath);
  buffer.write(octal(mode, 8), 100);
  buffer.write(octal(0, 8), 108);
  buffer.write(octal(0, 8), 116);
  buffer.write(octal(size, 12), 124);
  buffer.write(octal(0, 12), 136);
  buffer.write("0", 156);
  buffer.write("ustar\x0000", 257);
  buffer.fill(" ", sumAt, sumAt + 8);
  const sum = buffer.reduce((total, byte) => total + byte, 0);
  buffer.write(`${octal(sum, 7)}\0 `, sumAt);
  return buffer;
}

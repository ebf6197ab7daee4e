/** One file out of an archive. */
export type ArchivedFile = { readonly path: string; readonly content: Uint8Array };

const block = 512;
const typeAt = 156;

/**
 * The plain files of a tar archive (ustar, GNU and pax long names), in its order. Throws a RangeError where it is cut
 * off or is no archive.
 */
export function readTar(archive: Uint8Array): ArchivedFile[] {
  const files: ArchivedFile[] = [];
  let longName: string | undefined;
  for (let at = 0; at + block <= archive.length;) {
    const header = archive.subarray(at, at + block);
    if (header.every((byte) => byte === 0)) return files;
    checkSum(header, at);
    const size = octal(header, 124, 12);
    const start = at + block;
    if (start + size > archive.length)
      throw new RangeError(`the archive is cut off at byte ${archive.length}`);
    const content = archive.subarray(start, start + size);
    const type = String.fromCharCode(header[typeAt] ?? 0);
    at = start + Math.ceil(size / block) * block;
    if (type === "L") longName = text(content, 0, content.length);
    else if (type === "x") longName = paxPath(content) ?? longName;
    else {
      if (type === "0" || type === "\0") files.push({ path: longName ?? nameOf(header), content });
      longName = undefined;
    }
  }
  if (archive.length % block !== 0) throw new RangeError(`the archive is cut off at byte ${archive.length}`);
  return files;
}

function nameOf(header: Uint8Array): string {
  const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
  const name = text(header, 0, 100);
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Records of "LENGTH key=value\n". */
function paxPath(content: Uint8Array): string | undefined {
  return /\d+ path=(.*)\n/.exec(text(content, 0, content.length))?.[1];
}

function text(bytes: Uint8Array, from: number, length: number): string {
  const part = bytes.subarray(from, from + length);
  const end = part.indexOf(0);
  return new TextDecoder().decode(end < 0 ? part : part.subarray(0, end));
}

function octal(header: Uint8Array, from: number, length: number): number {
  const digits = text(header, from, length).trim();
  const value = Number.parseInt(digits, 8);
  if (!/^[0-7]+$/.test(digits) || !Number.isSafeInteger(value)) throw new RangeError("no tar archive");
  return value;
}

/** The sum of the header's bytes, its own field taken as blanks. */
function checkSum(header: Uint8Array, at: number): void {
  const blank = 32;
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? blank : byte), 0);
  if (octal(header, 148, 8) !== sum)
    throw new RangeError(`no tar archive: its header at byte ${at} is broken`);
}

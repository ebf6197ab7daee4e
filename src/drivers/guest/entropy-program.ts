import { Buffer } from "node:buffer";

/** Where the program is loaded, and how much it has behind its code: what it read, in the kernel's form. */
const base = 0x400000n;
const headerBytes = 0x78;
const scratchBytes = 272;

/**
 * Takes up to 256 bytes from its input into the kernel's pool, credits them and makes the generator draw from it at
 * once: RNDADDENTROPY and RNDRESEEDCRNG. A clone of a running guest must not repeat its template's random numbers, and
 * no shell can make these calls.
 */
const code = Buffer.from(
  [
    "31c0 31ff 488d3585000000 ba00010000 0f05", // n = read(0, buffer + 8, 256)
    "85c0 7e53", // none: fail
    "890570000000 c1e003 890563000000", // buffer[4] = n; buffer[0] = 8 * n bits
    "b802000000 488d3d44000000 be01000000 31d2 0f05", // fd = open("/dev/urandom", O_WRONLY)
    "85c0 782b 89c3", // negative: fail
    "89c7 be03520840 488d153a000000 b810000000 0f05", // ioctl(fd, RNDADDENTROPY, buffer)
    "85c0 7810", // negative: fail
    "89df be07520000 31d2 b810000000 0f05", // ioctl(fd, RNDRESEEDCRNG, 0)
    "89c7 c1ef1f b83c000000 0f05", // exit(the result is negative)
    "2f6465762f7572616e646f6d00 000000000000", // "/dev/urandom"
  ]
    .join("")
    .replaceAll(" ", ""),
  "hex",
);

/** An ELF executable for x86-64 that needs no library. */
export function entropyProgram(): Uint8Array {
  const header = Buffer.alloc(headerBytes);
  header.write("7f454c46020101", "hex");
  header.writeUInt16LE(2, 0x10); // executable
  header.writeUInt16LE(62, 0x12); // x86-64
  header.writeUInt32LE(1, 0x14);
  header.writeBigUInt64LE(base + BigInt(headerBytes), 0x18); // begins behind the headers
  header.writeBigUInt64LE(0x40n, 0x20); // program headers
  header.writeUInt16LE(0x40, 0x34);
  header.writeUInt16LE(0x38, 0x36);
  header.writeUInt16LE(1, 0x38);
  header.writeUInt32LE(1, 0x40); // one part, loaded
  header.writeUInt32LE(7, 0x44); // readable, writable, executable
  header.writeBigUInt64LE(base, 0x50);
  header.writeBigUInt64LE(base, 0x58);
  header.writeBigUInt64LE(BigInt(headerBytes + code.length), 0x60);
  header.writeBigUInt64LE(BigInt(headerBytes + code.length + scratchBytes), 0x68);
  header.writeBigUInt64LE(0x1000n, 0x70);
  return Buffer.concat([header, code]);
}

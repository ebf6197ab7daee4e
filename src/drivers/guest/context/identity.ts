import { Buffer } from "node:buffer";
import { generateKeyPairSync } from "node:crypto";
import type { Random } from "#base/runtime.ts";

/** What no two guests share. Kept by its host, so that a guest that is started again is the one it was. */
export type GuestIdentity = {
  /** Names this identity: a guest told the same one again changes nothing. */
  readonly instance: string;
  /** 32 hexadecimal digits, as systemd wants it. */
  readonly machineId: string;
  readonly sshHostKey: SshHostKey;
};

/** One Ed25519 key in every form that is wanted of it. */
export type SshHostKey = {
  /** "ssh-ed25519 AAAA…": what a client knows it by. */
  readonly publicKey: string;
  /** OpenSSH's private form, with its armour. */
  readonly openSsh: string;
  /** Dropbear's private form, base64. */
  readonly dropbear: string;
};

/** A fresh one; its secrets come from the machine's generator, its names from `random`. */
export function newIdentity(random: Random): GuestIdentity {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  return {
    instance: `i-${random.hex(8)}`,
    machineId: random.hex(16),
    sshHostKey: sshHostKeyOf(Buffer.from(d ?? "", "base64url"), Buffer.from(x ?? "", "base64url")),
  };
}

const keyType = "ssh-ed25519";

/** @param seed 32 bytes  @param point its public half, 32 bytes */
export function sshHostKeyOf(seed: Uint8Array, point: Uint8Array): SshHostKey {
  const pair = Buffer.concat([seed, point]);
  const publicBlob = Buffer.concat([field(keyType), field(point)]);
  // Checked for equality only by who reads it: the file is not encrypted.
  const check = Buffer.alloc(8);
  const secrets = Buffer.concat([check, publicBlob, field(pair), field("")]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (secrets.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    number(1),
    field(publicBlob),
    field(Buffer.concat([secrets, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    publicKey: `${keyType} ${publicBlob.toString("base64")}`,
    openSsh: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`,
    dropbear: Buffer.concat([field(keyType), field(pair)]).toString("base64"),
  };
}

function number(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

/** A string of SSH's: its length, then itself. */
function field(value: string | Uint8Array): Buffer {
  const content = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([number(content.length), content]);
}

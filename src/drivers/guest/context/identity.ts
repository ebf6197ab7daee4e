import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, hkdfSync } from "node:crypto";
import type { Random } from "#base/runtime.ts";

/** What no two guests share. Kept by its host, so that a guest that is started again is the one it was. */
export type GuestIdentity = {
  /** Names this identity: a guest told the same one again changes nothing. */
  readonly instance: string;
  /** 32 hexadecimal digits, as systemd wants it. */
  readonly machineId: string;
  readonly sshHostKey: SshKey;
  /** Lets its host in, and nobody else. Absent of a machine that was made before there was one: its agent serves then. */
  readonly login?: SshKey;
};

/** One Ed25519 key in every form that is wanted of it. */
export type SshKey = {
  /** "ssh-ed25519 AAAA…": what a client knows it by. */
  readonly publicKey: string;
  /** OpenSSH's private form, with its armour. */
  readonly openSsh: string;
  /** Dropbear's private form, base64. */
  readonly dropbear: string;
};

const seedBytes = 32;
const keyType = "ssh-ed25519";
/** What stands before the 32 bytes of an Ed25519 key in PKCS#8. */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** A fresh one, that nobody can tell beforehand. */
export const newIdentity = (random: Random): GuestIdentity => identityFrom(random.hex(seedBytes));

/** The same one of the same seed, on whatever host. `seed`: 32 random bytes in hexadecimal, to be kept as the keys are. */
export function identityFrom(seed: string): GuestIdentity {
  const part = (purpose: string, length: number): Buffer =>
    Buffer.from(hkdfSync("sha256", Buffer.from(seed, "hex"), "", `consort guest ${purpose}`, length));
  return {
    instance: `i-${part("instance", 8).toString("hex")}`,
    machineId: part("machine id", 16).toString("hex"),
    sshHostKey: sshKeyOf(part("host key", seedBytes)),
    login: sshKeyOf(part("login key", seedBytes)),
  };
}

/** @param seed 32 bytes */
function sshKeyOf(seed: Uint8Array): SshKey {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: "der", type: "pkcs8" });
  const point = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url");
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

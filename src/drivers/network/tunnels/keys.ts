import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** X25519 private keys in PKCS 8 are these bytes and then the 32 of the key. */
const pkcs8Prefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const keyBytes = 32;

export const privateKeyFile = (stateDir: string): string => join(stateDir, "wireguard.key");

/** Makes the gateway's key on first use, readable by its owner only; it stays for the gateway's life. */
export function ensurePrivateKey(stateDir: string): void {
  const file = privateKeyFile(stateDir);
  if (existsSync(file)) return;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync("x25519");
  const raw = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-keyBytes);
  writeFileSync(`${file}.new`, `${raw.toString("base64")}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** As `wg pubkey` prints it: base64. */
export function readPublicKey(stateDir: string): string {
  const raw = Buffer.from(readFileSync(privateKeyFile(stateDir), "utf8").trim(), "base64");
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, raw]),
    format: "der",
    type: "pkcs8",
  });
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-keyBytes).toString("base64");
}

import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Subprocess } from "#drivers/system/port.ts";

/** The key by which a host's manager is known to the guests of its host. */
export type HostKey = {
  readonly privateKeyFile: string;
  /** In OpenSSH's format, as it stands in authorized_keys. */
  readonly publicKey: string;
};

export const keyFile = (directory: string): string => join(directory, "id_ed25519");

/** The one in the directory, made when it is missing; whole or not at all. */
export async function hostKey(
  directory: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<HostKey> {
  const privateKeyFile = keyFile(directory);
  if (!existsSync(privateKeyFile)) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const draft = join(directory, "draft");
    for (const file of [draft, `${draft}.pub`]) await rm(file, { force: true });
    const args = ["-q", "-t", "ed25519", "-N", "", "-C", "consort", "-f", draft];
    await subprocess.check("ssh-keygen", args, signal);
    await rename(`${draft}.pub`, `${privateKeyFile}.pub`);
    await rename(draft, privateKeyFile);
  }
  const publicKey = (await readFile(`${privateKeyFile}.pub`, "utf8")).trim();
  return { privateKeyFile, publicKey };
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ipv4Address } from "#base/ids.ts";
import type { SshPlace } from "#drivers/appliance/port.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

const signal = new AbortController().signal;
const subprocess = systemSubprocess();
let count = 0;

/** A network namespace in which nothing but Debian's SSH server listens; `otherKey` is one it never had. */
export async function sshHost(
  directory: string,
): Promise<AsyncDisposable & { readonly place: SshPlace; readonly otherKey: string; stop(): Promise<void> }> {
  count += 1;
  const name = `consort-test-ssh-${process.pid}-${count}`;
  await subprocess.check("ip", ["netns", "add", name], signal);
  await subprocess.check("ip", ["-n", name, "link", "set", "lo", "up"], signal);
  const own = join(directory, "server");
  await subprocess.check("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", own], signal);
  const { login, sshHostKey: other } = newIdentity(systemRandom());
  writeFileSync(join(directory, "authorized"), `${login?.publicKey}\n`);
  // Of its own process of privilege separation; Debian makes it when the service starts.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const settings = [
    "ListenAddress 127.0.0.1",
    `HostKey ${own}`,
    `AuthorizedKeysFile ${join(directory, "authorized")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin yes",
  ];
  writeFileSync(join(directory, "sshd_config"), `${settings.join("\n")}\n`);
  const netns = `/run/netns/${name}`;
  const child = spawn(
    "nsenter",
    [`--net=${netns}`, "/usr/sbin/sshd", "-D", "-e", "-f", join(directory, "sshd_config")],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = once(child, "exit");
  for await (const chunk of child.stderr) if (String(chunk).includes("Server listening")) break;
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  const [type, text] = readFileSync(`${own}.pub`, "utf8").split(" ");
  const place: SshPlace = {
    netns,
    address: ipv4Address("127.0.0.1"),
    port: 22,
    user: "root",
    hostKey: `${type} ${text}`,
    privateKey: login?.openSsh ?? "",
  };
  return {
    place,
    otherKey: other.publicKey,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await subprocess.check("ip", ["netns", "delete", name], signal);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

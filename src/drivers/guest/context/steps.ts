import { Buffer } from "node:buffer";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ContextFacts } from "./content.ts";
import { longestTarPath, tarArchive } from "./tar.ts";
import type { TarFile } from "./tar.ts";

/** One word for a POSIX shell, whatever is in it (but NUL). */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What the guest runs: becomes the program itself, so that its exit status and signals are the program's. */
export function commandScript(plan: Pick<AppliancePlan, "command" | "env" | "directory">): string {
  const lines = [
    "#!/bin/sh",
    ...Object.entries(plan.env).map(([name, value]) => `export ${name}=${quoted(value)}`),
    `cd ${quoted(plan.directory ?? "/")} || exit 127`,
    `exec ${plan.command.map(quoted).join(" ")}`,
    "",
  ];
  return lines.join("\n");
}

/** A file that is to be at that absolute path inside the guest. */
const placed = (path: string, mode: number, content: string | Uint8Array): TarFile => ({
  path: path.slice(1),
  mode,
  content: typeof content === "string" ? Buffer.from(content) : content,
});

/** What every guest has of its own, and what its plan puts there. */
function placedFiles(facts: ContextFacts): readonly TarFile[] {
  const keys = facts.authorizedKeys.map((key) => `${key}\n`).join("");
  return [
    placed("/etc/hosts", 0o644, facts.hosts),
    placed("/root/.ssh/authorized_keys", 0o600, keys),
    ...(facts.resolvConf === undefined ? [] : [placed("/etc/resolv.conf", 0o644, facts.resolvConf)]),
    ...facts.plan.files.map(({ path, mode, content }) => placed(path, mode, content)),
  ];
}

/** The script of a context, and the files that it refers to by their numbers. */
export function steps(facts: ContextFacts): { readonly script: string; readonly files: readonly TarFile[] } {
  const files: TarFile[] = [];
  const lines: string[] = [];
  const step = (verb: string, ...words: readonly (string | number)[]): void => {
    lines.push([verb, ...words.map((word) => quoted(String(word)))].join(" "));
  };
  const kept = (content: string | Uint8Array): string => {
    const path = String(files.length);
    files.push({ path, mode: 0o600, content: typeof content === "string" ? Buffer.from(content) : content });
    return path;
  };
  const { plan, identity } = facts;
  step("instance", identity.instance);
  if (facts.clockMs !== undefined) step("clock", Math.round(facts.clockMs / 1000));
  step("entropy", kept(Buffer.from(facts.entropy, "hex")));
  step("machine_id", identity.machineId);
  step("host", plan.vm.hostname);
  const { dropbear, openSsh, publicKey } = identity.sshHostKey;
  const ofDropbear = [
    placed("/etc/dropbear/dropbear_ed25519_host_key", 0o600, Buffer.from(dropbear, "base64")),
  ];
  const ofOpenSsh = [
    placed("/etc/ssh/ssh_host_ed25519_key", 0o600, openSsh),
    placed("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, `${publicKey}\n`),
  ];
  step("ssh_host_key", kept(tarArchive(ofDropbear)), kept(tarArchive(ofOpenSsh)));
  for (const { name, mac, address, prefixLength, network } of plan.interfaces)
    step("interface", name, mac, `${address}/${prefixLength}`, facts.networks.get(network)?.mtu ?? 1400);
  for (const { serial, path, type, options } of facts.mounts) step("filesystem", serial, path, type, options);
  if (facts.swap) step("swap", diskSerials.swap);
  // Behind the mounts, as they may be on one. All at once: each program takes milliseconds in an emulated machine.
  const all = placedFiles(facts);
  const isShort = ({ path }: TarFile): boolean => Buffer.byteLength(path) <= longestTarPath;
  step("files", kept(tarArchive(all.filter(isShort))));
  for (const { path, mode, content } of all.filter((file) => !isShort(file)))
    step("file", kept(content), `/${path}`, mode.toString(8));
  if (facts.command !== undefined) {
    step("command_file", "command");
    files.push({ path: "command", mode: 0o700, content: Buffer.from(facts.command) });
  }
  // One step that fails is told of, and the others are still taken.
  const script = lines.map((line) => `${line} || context_failed=1\n`).join("");
  return { script, files };
}

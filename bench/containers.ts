import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ipv4Address } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { SshPlace } from "#drivers/appliance/port.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { clock } from "../test/task/host.ts";
import { subprocess } from "../test/vm/guest-machine.ts";
import { cellBridge, openPeerCell, wantPrograms } from "./peer-cell.ts";
import { peerGuest } from "./peer-guest.ts";
import type { PeerGuest } from "./peer-guest.ts";

/**
 * What others call a light machine: the tiny guest's root with its SSH server, as a container of LXC or podman. Its
 * kernel is the host's.
 */
export type Containers = AsyncDisposable & {
  /** Resolves with where it is when its programs run. */
  start(name: string, signal: AbortSignal): Promise<SshPlace>;
  stop(name: string, signal: AbortSignal): Promise<void>;
  readonly hostname: string;
  readonly directory: string;
};

const firstProgram = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
exec dropbear -F -s -R
`;

const loopback = ipv4Address("127.0.0.1");
const timeoutMs = millis(60_000);
const attemptsMax = 40;
const retryMs = millis(50);
const never = new AbortController().signal;

async function rootIn(directory: string, guest: PeerGuest, signal: AbortSignal): Promise<string> {
  const root = join(directory, "root");
  mkdirSync(root);
  const unpack = 'cd "$1" && busybox cpio -i -d -F "$2"';
  await subprocess.check("sh", ["-c", unpack, "sh", root, guest.initrd], signal);
  const place = (path: string, mode: number, content: string | Buffer): void => {
    mkdirSync(join(root, path, ".."), { recursive: true, mode: 0o700 });
    writeFileSync(join(root, path), content);
    chmodSync(join(root, path), mode);
  };
  const { sshHostKey, login } = guest.identity;
  place("first-program", 0o755, firstProgram);
  place("root/.ssh/authorized_keys", 0o600, `${login?.publicKey}\n`);
  place("etc/dropbear/dropbear_ed25519_host_key", 0o600, Buffer.from(sshHostKey.dropbear, "base64"));
  return root;
}

/** Each on the cell's bridge, under the guest's address. @throws when it does not run here */
export async function openLxc(built: BuiltGuest, signal: AbortSignal): Promise<Containers> {
  await wantPrograms(["lxc-start", "busybox"], signal);
  await using undo = new AsyncDisposableStack();
  undo.defer(groupsAfter("lxc.pivot"));
  const cell = undo.use(await openPeerCell("mount -t tmpfs run /run\n", signal));
  const guest = peerGuest(built, cell.directory, "peer", 1);
  const root = await rootIn(cell.directory, guest, signal);
  const state = join(cell.directory, "lxc");
  mkdirSync(state);
  const stop = async (name: string, until: AbortSignal): Promise<void> => {
    await cell.run("lxc-stop", ["--kill", "-P", state, "-n", marked(name)], until);
  };
  const started = new Set<string>();
  undo.defer(async () => {
    for (const name of started) await stop(name, never).catch(() => {});
  });
  const owned = undo.move();
  return {
    hostname: guest.name,
    directory: cell.directory,
    async start(name, until) {
      const file = join(cell.directory, `${name}.conf`);
      writeFileSync(file, lxcConfig(root, guest));
      started.add(name);
      await cell.run("lxc-start", ["-P", state, "-n", marked(name), "-f", file], until);
      return guest.place(cell.netns);
    },
    async stop(name, until) {
      await stop(name, until);
      started.delete(name);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const marked = (name: string): string => `consort-bench-${process.pid}-${name}`;

function lxcConfig(root: string, { name, address }: PeerGuest): string {
  return [
    `lxc.uts.name = ${name}`,
    `lxc.rootfs.path = dir:${root}`,
    "lxc.net.0.type = veth",
    `lxc.net.0.link = ${cellBridge}`,
    "lxc.net.0.flags = up",
    `lxc.net.0.ipv4.address = ${address}/24`,
    "lxc.init.cmd = /first-program",
    "lxc.mount.auto = proc:mixed sys:ro",
    "lxc.apparmor.profile = unconfined",
    "lxc.tty.max = 0",
    "lxc.pty.max = 16",
    "",
  ].join("\n");
}

/** Each program leaves an empty group of this name in each hierarchy; what somebody had there before stays. */
function groupsAfter(name: string): () => Promise<void> {
  const groups = (): string[] =>
    readdirSync("/sys/fs/cgroup")
      .flatMap((hierarchy) => filesOf(join("/sys/fs/cgroup", hierarchy)))
      .filter((path) => path.endsWith(`/${name}`));
  const before = new Set(groups());
  return async () => {
    // What watched a container ends a moment after it.
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const left = groups().filter((path) => !before.has(path));
      if (left.every(removed)) return;
      await clock.sleep(retryMs, never);
    }
  };
}

function removed(group: string): boolean {
  try {
    if (existsSync(join(group, "conmon"))) rmdirSync(join(group, "conmon"));
    rmdirSync(group);
    return true;
  } catch {
    return false;
  }
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}

/** With runc, as crun refuses machines with both kinds of control groups; without a network of its own but loopback. */
export async function openPodman(built: BuiltGuest, signal: AbortSignal): Promise<Containers> {
  await wantPrograms(["podman", "runc", "busybox"], signal);
  await using undo = new AsyncDisposableStack();
  undo.defer(groupsAfter("libpod_parent"));
  const directory = mkdtempSync(join(tmpdir(), "consort-bench-podman-"));
  undo.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const guest = peerGuest(built, directory, "peer", 1);
  const root = await rootIn(directory, guest, signal);
  const own = ["root", "runroot", "tmpdir"].flatMap((each) => [
    `--${each}`,
    join(directory, `podman-${each}`),
  ]);
  const podman = (words: readonly string[], until: AbortSignal): Promise<string> =>
    subprocess.check("podman", [...base, ...words], until, { timeoutMs });
  const base = [...own, "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"];
  const stop = async (name: string, until: AbortSignal): Promise<void> => {
    await podman(["rm", "--force", "--time", "0", marked(name)], until);
  };
  const started = new Set<string>();
  undo.defer(async () => {
    for (const name of started) await stop(name, never).catch(() => {});
  });
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
  const owned = undo.move();
  return {
    hostname: guest.name,
    directory,
    async start(name, until) {
      started.add(name);
      const place = [
        "--detach",
        "--name",
        marked(name),
        "--hostname",
        guest.name,
        "--network",
        "none",
        ...limits,
      ];
      const words = [...base, "run", ...place, "--rootfs", root, "/first-program"];
      // A container keeps the streams it was started with: a pipe of ours would not end before it does.
      const quiet = ["-c", '"$@" </dev/null >/dev/null 2>&1', "sh", "podman", ...words];
      await subprocess.check("sh", quiet, until, { timeoutMs });
      const pid = (await podman(["inspect", "--format", "{{.State.Pid}}", marked(name)], until)).trim();
      return { ...guest.place(`/proc/${pid}/ns/net`), address: loopback };
    },
    async stop(name, until) {
      await stop(name, until);
      started.delete(name);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

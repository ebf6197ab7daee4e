import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestLines } from "#drivers/guest/context/port-protocol.ts";
import type { GuestMessage } from "#drivers/guest/context/port-protocol.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import type { SshKey } from "#drivers/guest/context/identity.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

/** Where guests are built once for all tests of this machine. */
export const guestCache = "/var/cache/consort/guests";
export const subprocess = systemSubprocess();

export type TestDisk = {
  readonly serial: string;
  readonly file: string;
  readonly format: "raw" | "qcow2";
  readonly readOnly?: true;
  /** A qcow2 file that it lies on. */
  readonly below?: string;
};

export type GuestOptions = {
  readonly machine: "q35" | "microvm";
  readonly memory?: string;
  readonly disks: readonly TestDisk[];
  /** Of its interface. */
  readonly mac: string;
  /** On a network of its own, 10.9.0.0/24. */
  readonly address: string;
  /** For its kernel, beside its own. */
  readonly words?: string;
};

/** A guest in a bare QEMU without the driver: what is tested is the guest. */
export class GuestMachine implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "consort-test-guest-"));
  readonly #key = clientKey();
  readonly #lines = new GuestLines();
  readonly #heard: GuestMessage[] = [];
  readonly #wakes = new Set<() => void>();
  #process: ChildProcess | undefined;
  #port: Socket | undefined;
  #sshPort = 0;
  console = "";

  /** Who may log in. */
  get publicKey(): string {
    return this.#key.publicKey;
  }

  async start(guest: BuiltGuest, options: GuestOptions): Promise<void> {
    const { boot } = guest.image;
    if (boot?.kind !== "kernel") throw new Error("not started with a kernel");
    this.#sshPort = await freePort();
    const bus = options.machine === "q35" ? "pci" : "device";
    const khz = /^cpu MHz\s*: (\d+)\.(\d{3})/m.exec(await readFile("/proc/cpuinfo", "utf8"));
    const tsc = khz === null ? "" : ` tsc_early_khz=${khz[1]}${khz[2]}`;
    const file = (digest: string | undefined): string => guest.files.get(digest as never) ?? "";
    const machine =
      options.machine === "q35" ? "q35,usb=off" : "microvm,x-option-roms=off,rtc=on,isa-serial=on";
    const args = [
      "-M",
      `${machine},accel=tcg`,
      "-cpu",
      "max",
      "-m",
      options.memory ?? "128",
      "-nodefaults",
      "-display",
      "none",
      "-serial",
      "stdio",
      "-no-reboot",
      "-kernel",
      file(boot.kernel.digest),
      "-initrd",
      file(boot.initrd?.digest),
      "-append",
      `${boot.commandLine}${tsc} ${options.words ?? ""}`,
      "-device",
      `virtio-serial-${bus}`,
      "-device",
      `virtio-rng-${bus}`,
      ...this.#portArguments("consort.context", "context"),
      ...this.#portArguments("org.qemu.guest_agent.0", "agent"),
      "-netdev",
      `user,id=net,net=10.9.0.0/24,hostfwd=tcp:127.0.0.1:${this.#sshPort}-${options.address}:22`,
      "-device",
      `virtio-net-${bus},netdev=net,mac=${options.mac}${bus === "pci" ? ",romfile=" : ""}`,
      ...options.disks.flatMap(({ serial, file: path, format, readOnly, below }) => [
        "-drive",
        `if=none,id=${serial},file=${path},format=${format}${readOnly ? ",readonly=on" : ""}${onTopOf(below)}`,
        "-device",
        `virtio-blk-${bus},drive=${serial},serial=${serial}`,
      ]),
    ];
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", "nice", "-n", "-5", "qemu-system-x86_64", ...args],
      {
        stdio: ["pipe", "pipe", "pipe"],
      },
    );
    this.#process = child;
    const take = (chunk: Buffer): void => {
      this.console += chunk.toString("latin1");
      this.#wake();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("exit", () => this.#wake());
    this.#port = await reach(join(this.directory, "context"), child);
    this.#port.on("data", (chunk) => {
      this.#heard.push(...this.#lines.push(chunk));
      this.#wake();
    });
  }

  #portArguments(name: string, socket: string): string[] {
    const path = join(this.directory, socket);
    return [
      "-chardev",
      `socket,id=${socket},path=${path},server=on,wait=off`,
      "-device",
      `virtserialport,chardev=${socket},name=${name}`,
    ];
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }

  /** Resolves with the first value that is not undefined; looked at whenever the guest did anything. */
  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#process?.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`${what}: the machine has ended\n${this.console}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakes.add(resolve);
      await promise;
      this.#wakes.delete(resolve);
    }
  }

  /** What it tells at the context port. */
  told(kind: GuestMessage["kind"], count = 1): Promise<GuestMessage> {
    return this.until(`told ${kind}`, () => this.#heard.filter((each) => each.kind === kind)[count - 1]);
  }

  /** On its console. */
  type(text: string): void {
    this.#process?.stdin?.write(text);
  }

  say(message: Uint8Array): void {
    this.#port?.write(message);
  }

  /** A line of JSON to QEMU's guest agent, and its answer. */
  async agent(request: object): Promise<unknown> {
    const socket = connect(join(this.directory, "agent"));
    await once(socket, "connect");
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      let text = "";
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.includes("\n")) return JSON.parse(text);
      }
      throw new Error(`the agent said ${text}`);
    } finally {
      socket.destroy();
    }
  }

  /** What a command prints, run over SSH; `hostKey` is what the guest has to show. */
  async ssh(hostKey: string, command: string): Promise<string> {
    const key = join(this.directory, "key");
    const known = join(this.directory, "known");
    writeFileSync(key, this.#key.openSsh, { mode: 0o600 });
    writeFileSync(known, `guest ${hostKey}\n`);
    const options = [
      "StrictHostKeyChecking=yes",
      `UserKnownHostsFile=${known}`,
      "HostKeyAlias=guest",
      "ConnectTimeout=20",
      "BatchMode=yes",
      "IdentitiesOnly=yes",
    ].flatMap((option) => ["-o", option]);
    const args = [
      "-F",
      "none",
      "-i",
      key,
      ...options,
      "-p",
      String(this.#sshPort),
      "root@127.0.0.1",
      command,
    ];
    for (;;) {
      const { code, stdout, stderr } = await subprocess.run("ssh", args, AbortSignal.timeout(60_000));
      if (code === 0) return stdout;
      // QEMU takes the connection before the guest's server listens, and then has to close it.
      if (!stderr.includes("kex_exchange_identification")) throw new Error(`ssh: ${code}: ${stderr}`);
    }
  }

  async ended(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null)
      await once(child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#port?.destroy();
    this.#process?.kill("SIGKILL");
    await this.ended();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function onTopOf(below: string | undefined): string {
  return below === undefined
    ? ""
    : `,backing.driver=qcow2,backing.file.driver=file,backing.file.filename=${below}`;
}

const clientKey = (): SshKey => newIdentity(systemRandom()).sshHostKey;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** QEMU makes its sockets some moments after it starts. */
async function reach(path: string, child: ChildProcess): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const outcome = await Promise.race([
      once(socket, "connect").then(() => "connected" as const),
      once(socket, "error").catch(() => "refused" as const),
    ]).catch(() => "refused" as const);
    if (outcome === "connected") return socket;
    socket.destroy();
    if (child.exitCode !== null) throw new Error("QEMU ended at once");
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 10);
    await promise;
  }
}

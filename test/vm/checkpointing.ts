import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { codeOf } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName, hostId, ipv4Address } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { MachineCheckpoints } from "#drivers/appliance/qemu/checkpoint/machines.ts";
import { restoreMemory } from "#drivers/appliance/qemu/checkpoint/restore.ts";
import { connectQmp } from "#drivers/appliance/qemu/qmp.ts";
import type { RunningVm } from "#drivers/appliance/qemu/vm.ts";
import { ramBytes } from "#drivers/appliance/qemu/write-tracking.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import type { BlobExchange } from "#drivers/blob/port.ts";
import { chainOf, memoryOf } from "#model/checkpoint-chain.ts";
import type { NamedPeer } from "#drivers/checkpoint/port.ts";
import type { CheckpointChain } from "#model/checkpoint-chain.ts";
import { checkpointStores } from "#drivers/checkpoint/stores.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { Image } from "#model/image.ts";
import { cpioArchive } from "#drivers/guest/cpio.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { Secret, Transfer } from "#drivers/transfer/port.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { vmPlan } from "./plans.ts";

export const id = applianceId(ensembleName("shop"), applianceName("db"));
const loopback = ipv4Address("127.0.0.1");
const token = "token of the test";
const clock = systemClock();
const subprocess = systemSubprocess();

/** What the guest runs instead of its own first program: a shell at its console, and a clock that ticks in memory. */
const init = `#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in virtio_mmio virtio_pci virtio_blk; do modprobe $module; done
mkdir -p /data; mount -t tmpfs -o size=80% data /data
(n=0; while :; do n=$((n+1)); echo $n > /data/ticks; sleep 0.05; done) &
stty -echo < /dev/ttyS0
echo READY > /dev/ttyS0
export PS1=; exec sh < /dev/ttyS0 > /dev/ttyS0 2>&1
`;

/** A bare QEMU without the driver around it: what is tested is checkpoints. */
export class BareMachine implements AsyncDisposable {
  readonly directory: string;
  vm: RunningVm;
  readonly #process: ChildProcess;
  readonly #console: Socket;
  readonly #gone: Promise<never>;
  #text = "";

  constructor(directory: string, vm: RunningVm, process: ChildProcess, console: Socket) {
    this.directory = directory;
    this.vm = vm;
    this.#process = process;
    this.#console = console;
    this.#gone = once(process, "exit").then(() => Promise.reject(new Error("QEMU has ended")));
    this.#gone.catch(() => {});
    console.on("data", (chunk: Buffer) => (this.#text += chunk.toString("latin1")));
  }

  async until(word: string): Promise<void> {
    while (!this.#text.includes(word)) await Promise.race([once(this.#console, "data"), this.#gone]);
  }

  /** What a command prints. */
  async shell(command: string): Promise<string> {
    const mark = `over-${Math.random().toString(36).slice(2)}`;
    this.#text = "";
    this.#console.write(`${command}; echo ${mark.slice(0, 5)}""${mark.slice(5)}\n`);
    await this.until(mark);
    return this.#text
      .slice(0, this.#text.indexOf(mark))
      .replaceAll("\r", "")
      .replace(/^[#$ ]*/, "")
      .trim();
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#console.destroy();
    this.vm.qmp.close();
  }
}

/** One host: its blobs, its exchange, what it knows of checkpoints, and at most one machine. */
export class CheckpointHost implements AsyncDisposable {
  readonly host: HostId;
  readonly blobs: DiskBlobStore;
  readonly checkpoints: MachineCheckpoints;
  readonly directory: string;
  readonly #exchange: BlobExchange;
  machine: BareMachine | undefined;

  constructor(
    name: string,
    directory: string,
    blobs: DiskBlobStore,
    exchange: BlobExchange,
    options: HostOptions,
  ) {
    this.host = hostId(name);
    this.directory = directory;
    this.blobs = blobs;
    this.#exchange = exchange;
    exchange.useToken(token);
    const transfer: Transfer = openTransfer({ clock, roots: [] });
    this.checkpoints = new MachineCheckpoints({
      directory: join(directory, "checkpoints"),
      blobs,
      exchange,
      storeFor: checkpointStores({
        blobs,
        exchange,
        transfer,
        secretFor: () => Promise.resolve(options.secret ?? {}),
        clock,
        log: silentLog,
      }),
      subprocess,
      clock,
      log: silentLog,
      linkBps: options.linkBps ?? 125e6,
      running: (asked) => (asked === id ? (this.machine?.vm ?? this.vm) : undefined),
    });
  }

  /** What runs here; without a machine of the rig, what another process started. */
  vm: RunningVm | undefined;

  get peer(): NamedPeer {
    return { host: this.host, address: loopback, port: this.#exchange.port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine?.[Symbol.asyncDispose]();
    await this.#exchange.close();
  }
}

/** As a host manager that begins, or begins anew, has it. */
export async function openHost(
  name: string,
  directory: string,
  options: HostOptions = {},
): Promise<CheckpointHost> {
  mkdirSync(directory, { recursive: true });
  const signal = AbortSignal.timeout(60_000);
  const blobs = new DiskBlobStore({ directory: join(directory, "blobs"), log: silentLog });
  await blobs.recover(signal);
  const exchange = await openBlobExchange({ store: blobs, address: loopback, log: silentLog });
  const host = new CheckpointHost(name, directory, blobs, exchange, options);
  await host.checkpoints.recover(signal);
  return host;
}

/** The machine whose QEMU runs with this directory, by a line of its own to it. */
export async function bareVm(
  directory: string,
  image: Image,
  below: readonly string[] = [],
): Promise<RunningVm> {
  const qmp = await connectQmp(join(directory, "qmp"), AbortSignal.timeout(30_000));
  return {
    id,
    plan: vmPlan(image),
    directory,
    inside: directory,
    netns: "",
    cgroup: undefined as never,
    disks: [{ name: "root", file: join(directory, "root.qcow2"), below }],
    qmp,
    agent: { execute: () => Promise.reject(new Error("no agent")), answers: () => false },
    run: () => Promise.reject(new Error("nothing runs beside it")),
  };
}

export type HostOptions = { readonly secret?: Secret; readonly linkBps?: number };
export type MachineOptions = {
  readonly machine?: "q35" | "microvm";
  readonly memoryMib?: number;
  /** Layers of its disk, the newest first; it waits for its memory. */
  readonly below?: readonly string[];
  readonly incoming?: true;
};

/** Several hosts on this machine, each with directories of its own. */
export class CheckpointRig implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "consort-checkpoint-"));
  readonly hosts: CheckpointHost[] = [];
  readonly #guest: BuiltGuest;
  readonly #kernel: string;
  readonly #initrd: string;
  readonly #commandLine: string;
  #machines = 0;
  /** What the newest one that booted is like. */
  #like: Pick<MachineOptions, "machine" | "memoryMib"> = {};

  private constructor(guest: BuiltGuest) {
    const { boot } = guest.image;
    if (boot?.kind !== "kernel" || boot.initrd === undefined) throw new Error("the tiny guest has no kernel");
    this.#guest = guest;
    this.#kernel = guest.files.get(boot.kernel.digest) ?? "";
    this.#commandLine = boot.commandLine;
    this.#initrd = join(this.directory, "initrd");
    const extra = cpioArchive([
      { path: "checkpoint-init", kind: "file", mode: 0o755, content: Buffer.from(init) },
    ]);
    writeFileSync(
      this.#initrd,
      Buffer.concat([readFileSync(guest.files.get(boot.initrd.digest) ?? ""), extra]),
    );
  }

  get image(): Image {
    return this.#guest.image;
  }

  static async open(signal: AbortSignal): Promise<CheckpointRig> {
    return new CheckpointRig(await buildTinyGuest("/var/cache/consort/guests", () => {}, subprocess, signal));
  }

  async host(name: string, options: HostOptions = {}): Promise<CheckpointHost> {
    const host = await openHost(name, join(this.directory, name), options);
    this.hosts.push(host);
    for (const one of this.hosts) {
      one.checkpoints.usePeers(
        one.host,
        this.hosts.map(({ peer }) => peer),
      );
    }
    return host;
  }

  /** Starts a machine with one disk at this host; it has booted, unless it waits for its memory. */
  async start(host: CheckpointHost, options: MachineOptions = {}): Promise<BareMachine> {
    const directory = join(this.directory, `machine-${(this.#machines += 1)}`);
    mkdirSync(directory);
    const file = join(directory, "root.qcow2");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", file, "256M"]);
    const { below = [], machine = "q35", memoryMib = 128 } = options;
    this.#like = { machine, memoryMib };
    const isPc = machine === "q35";
    const pairs: readonly (readonly [string, string])[] = [
      ["-display", "none"],
      ["-M", isPc ? "q35,usb=off" : "microvm,x-option-roms=off,rtc=on,isa-serial=on"],
      ["-accel", "tcg,tb-size=32"],
      ["-cpu", "max"],
      ["-m", `${ramBytes(mebibytes(memoryMib)) / 1024}K`],
      ["-kernel", this.#kernel],
      ["-initrd", this.#initrd],
      ["-append", `${this.#commandLine} rdinit=/checkpoint-init quiet ${clockOf()}`],
      ["-chardev", `socket,id=console,path=${join(directory, "console")},server=on,wait=off`],
      ["-serial", "chardev:console"],
      ["-qmp", `unix:${join(directory, "qmp")},server=on,wait=off`],
      ["-blockdev", diskArgument(file, below)],
      ["-device", `virtio-blk-${isPc ? "pci" : "device"},drive=root,id=disk-root`],
    ];
    const args = ["-nodefaults", "-no-user-config", "-S", ...pairs.flat()];
    if (options.incoming === true) args.push("-incoming", "defer");
    const child = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "ignore", "inherit"] });
    const vm = await answering(child, () => bareVm(directory, this.#guest.image, below));
    const console = connect(join(directory, "console"));
    await once(console, "connect");
    const started = new BareMachine(directory, vm, child, console);
    host.machine = started;
    if (options.incoming !== true) {
      await vm.qmp.execute("cont", {}, AbortSignal.timeout(30_000));
      await started.until("READY");
    }
    return started;
  }

  /** The newest checkpoint of a host with all it needs. */
  chain(host: CheckpointHost): CheckpointChain {
    const all = host.checkpoints.observe().map(({ checkpoint }) => checkpoint);
    return chainOf(all.at(-1)?.id ?? "", all) ?? [];
  }

  /** A machine that goes on from what the host has of the chain, after bringing it there. */
  async restored(
    host: CheckpointHost,
    chain: CheckpointChain,
    hosts: readonly HostId[],
    store?: string,
  ): Promise<BareMachine> {
    const signal = AbortSignal.timeout(60_000);
    const plan = vmPlan(this.#guest.image);
    const copies = { hosts, ...(store === undefined ? {} : { store, credentials: "store" }) };
    const restore = { checkpoints: chain, copies };
    const layers = await host.checkpoints.layers({ ...plan, vm: { ...plan.vm, restore } }, () => {}, signal);
    const below = (layers.get("root") ?? []).map(({ digest }) => host.blobs.path(digest));
    const machine = await this.start(host, { ...this.#like, below, incoming: true });
    await restoreMemory(machine.vm, memoryOf(chain), host.blobs, signal);
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Its socket is there a moment before it listens at it. */
async function answering<T>(child: ChildProcess, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (cause) {
      if (child.exitCode !== null) throw new Error(`QEMU ended with code ${child.exitCode}`, { cause });
      if (codeOf(cause) !== "unavailable") throw cause;
      await clock.sleep(millis(5), AbortSignal.timeout(30_000));
    }
  }
}

function diskArgument(file: string, below: readonly string[]): string {
  let backing: object | null = null;
  for (const filename of below.toReversed()) {
    backing = { driver: "qcow2", "read-only": true, file: { driver: "file", filename }, backing };
  }
  return JSON.stringify({
    driver: "qcow2",
    "node-name": "root",
    file: { driver: "file", filename: file },
    backing,
  });
}

/** An emulated microvm has nothing to measure its processor's clock with. */
function clockOf(): string {
  const [, mhz, part] = /^cpu MHz\s*: (\d+)\.(\d{3})/m.exec(readFileSync("/proc/cpuinfo", "utf8")) ?? [];
  return mhz === undefined ? "" : `tsc_early_khz=${mhz}${part}`;
}

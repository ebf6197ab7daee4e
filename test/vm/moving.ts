import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { codeOf } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName, hostId, ipv4Address } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { cpioArchive } from "#drivers/guest/cpio.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { remoteNode, remoteSource } from "#drivers/appliance/qemu/move/ports.ts";

import { connectQmp } from "#drivers/appliance/qemu/qmp.ts";
import { ramBytes } from "#drivers/appliance/qemu/write-tracking.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import type { RunningVm } from "#drivers/appliance/qemu/vm.ts";

const id = applianceId(ensembleName("shop"), applianceName("web"));
const loopback = ipv4Address("127.0.0.1");
const guestAddress = "10.77.0.2";
const memoryBytes = mebibytes(128);
const clientProgram = fileURLToPath(new URL("http-client.child.ts", import.meta.url));
let rigs = 0;

/** What the guest runs instead of its own first program: a web server that writes to its disk, and keeps busy if asked. */
const init = `#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in virtio_mmio virtio_pci virtio_net virtio_blk; do modprobe $module; done
ip link set lo up; ip link set eth0 up; ip addr add ${guestAddress}/24 dev eth0
mkdir -p /www/cgi-bin; echo hello > /www/index.html
cat > /www/cgi-bin/put <<X
#!/bin/sh
echo; echo \\$QUERY_STRING > /tmp/w; dd if=/tmp/w of=/dev/vda bs=512 count=1 conv=sync,fsync 2> /dev/null
X
cat > /www/cgi-bin/get <<X
#!/bin/sh
echo; echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=512 count=1 2> /dev/null | head -n 1
X
cat > /www/cgi-bin/busy <<X
#!/bin/sh
echo; (mkdir /d; mount -t tmpfs -o size=64m t /d; while :; do dd if=/dev/zero of=/d/x bs=64k count=640 conv=notrunc; done) > /dev/null 2>&1 &
X
chmod +x /www/cgi-bin/*
httpd -p 80 -h /www
while :; do sleep 1000; done
`;

export type Side = "a" | "b";

/** Of one who asked a web server again and again. */
export type Requests = {
  readonly sent: number;
  readonly lost: number;
  readonly longestMs: number;
  readonly reasons: readonly string[];
};

/** Two QEMUs' places in two network namespaces on one switch, and one host manager's part of each. */
export class MovingRig {
  readonly directory = mkdtempSync(join(tmpdir(), "consort-move-"));
  readonly #mark = `ctmv${process.pid}x${++rigs}`;
  readonly #qemus = new Map<Side, ChildProcess>();
  readonly moves: Record<Side, VmMoves>;
  readonly #vms = new Map<Side, RunningVm>();
  readonly #withDisk: boolean;
  readonly #life = new AbortController();
  #kernel = "";
  #initrd = "";
  #commandLine = "";

  constructor(withDisk = true) {
    this.#withDisk = withDisk;
    this.moves = { a: this.manager("a"), b: this.manager("b") };
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** As a host manager that begins anew has it. */
  manager(side: Side, sendBytesPerSecond?: number, copyBytesPerSecond?: number): VmMoves {
    const moves = new VmMoves({
      ...(sendBytesPerSecond === undefined ? {} : { sendBytesPerSecond }),
      ...(copyBytesPerSecond === undefined ? {} : { copyBytesPerSecond }),
      address: loopback,
      directory: join(this.directory, `${side}-moves`),
      processes: systemProcesses(machineLayout()),
      clock: systemClock(),
      log: silentLog,
    });
    moves.recover();
    return moves;
  }

  async open(): Promise<void> {
    const guest = await buildTinyGuest(
      "/var/cache/consort/guests",
      () => {},
      systemSubprocess(),
      this.signal,
    );
    const { boot } = guest.image;
    if (boot?.kind !== "kernel" || boot.initrd === undefined) throw new Error("the tiny guest has no kernel");
    this.#kernel = guest.files.get(boot.kernel.digest) ?? "";
    this.#commandLine = boot.commandLine;
    this.#initrd = join(this.directory, "initrd");
    const extra = cpioArchive([{ path: "move-init", kind: "file", mode: 0o755, content: Buffer.from(init) }]);
    writeFileSync(
      this.#initrd,
      Buffer.concat([readFileSync(guest.files.get(boot.initrd.digest) ?? ""), extra]),
    );
    const switchNs = this.netns("s");
    const commands = [
      `netns add ${switchNs}`,
      `-n ${switchNs} link add br0 type bridge`,
      `-n ${switchNs} link set br0 up`,
    ];
    commands.push(`-n ${switchNs} addr add 10.77.0.1/24 dev br0`);
    for (const side of ["a", "b"] as const) {
      const ns = this.netns(side);
      mkdirSync(join(this.directory, side));
      commands.push(
        `netns add ${ns}`,
        `-n ${ns} link add u0 type veth peer name u${side} netns ${switchNs}`,
        `-n ${switchNs} link set u${side} master br0 up`,
        // As in a segment with a member that moves: frames for it go to both sides.
        `-n ${switchNs} link set u${side} type bridge_slave learning off flood on`,
        `-n ${ns} link add br0 type bridge`,
        `-n ${ns} tuntap add tap0 mode tap`,
        `-n ${ns} link set u0 master br0 up`,
        `-n ${ns} link set tap0 master br0 up`,
        `-n ${ns} link set br0 up`,
        // As in a machine's own namespace: its other side must not teach this one where it is.
        `-n ${ns} link set u0 type bridge_slave learning off`,
        `-n ${ns} link set tap0 type bridge_slave learning off`,
      );
    }
    for (const command of commands) execFileSync("ip", command.split(" "));
    if (this.#withDisk)
      execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", this.file("a", "root.qcow2"), "64M"]);
  }

  netns(side: Side | "s"): string {
    return `${this.#mark}${side}`;
  }

  file(side: Side, name: string): string {
    return join(this.directory, side, name);
  }

  /** Starts a QEMU, which does not continue by itself, and connects to it. */
  async start(side: Side, { incoming, remote }: { incoming: boolean; remote: boolean }): Promise<RunningVm> {
    const directory = join(this.directory, side);
    rmSync(this.file(side, "qmp"), { force: true });
    const source = remote
      ? remoteSource(directory, "root")
      : { driver: "file", filename: this.file(side, "root.qcow2") };
    const node = remote ? remoteNode("root") : "root";
    const disk = {
      driver: "qcow2",
      "node-name": node,
      file: { ...source, "node-name": `${node}-file` },
    };
    const args = [
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-S",
      "-M",
      "q35,usb=off,vmport=off",
      "-accel",
      "tcg,tb-size=32",
      "-cpu",
      "max",
      "-m",
      `${ramBytes(memoryBytes) / 1024}K`,
      "-kernel",
      this.#kernel,
      "-initrd",
      this.#initrd,
      "-append",
      `${this.#commandLine} rdinit=/move-init`,
      "-serial",
      `file:${this.file(side, "serial")}`,
      "-qmp",
      `unix:${this.file(side, "qmp")},server=on,wait=off`,
      "-netdev",
      "tap,id=eth0,ifname=tap0,script=no,downscript=no",
      "-device",
      "virtio-net-pci,netdev=eth0,mac=02:aa:00:00:00:01",
      ...(this.#withDisk
        ? ["-blockdev", JSON.stringify(disk), "-device", `virtio-blk-pci,drive=${node},id=disk-root`]
        : []),
      ...(incoming ? ["-incoming", "defer"] : []),
    ];
    const qemu = spawn("ip", ["netns", "exec", this.netns(side), "qemu-system-x86_64", ...args], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    this.#qemus.set(side, qemu);
    while (!existsSync(this.file(side, "qmp"))) {
      if (qemu.exitCode !== null) throw new Error(`QEMU ended with code ${qemu.exitCode}`);
      await systemClock().sleep(5 as never, this.signal);
    }
    for (;;) {
      try {
        return await this.adopt(side);
      } catch (cause) {
        // Its socket is there a moment before it is listened to.
        if (codeOf(cause) !== "unavailable" || qemu.exitCode !== null) throw cause;
        await systemClock().sleep(5 as never, this.signal);
      }
    }
  }

  /** A line of its own to the QEMU that runs there; what it does not answer within `limitMs` is given up. */
  async adopt(side: Side, limitMs?: Millis): Promise<RunningVm> {
    const directory = join(this.directory, side);
    this.#vms.get(side)?.qmp.close();
    const vm = {
      ...this.place(side),
      plan: undefined as never,
      netns: this.netns(side),
      disks: this.#withDisk ? [{ name: "root", file: this.file(side, "root.qcow2"), below: [] }] : [],
      qmp: await connectQmp(join(directory, "qmp"), this.signal, limitMs),
      agent: { execute: () => Promise.reject(new Error("no agent")), answers: () => false },
      run: (command: readonly string[]) => this.#run(side, command),
    } as RunningVm;
    this.#vms.set(side, vm);
    return vm;
  }

  place(side: Side): Pick<RunningVm, "id" | "directory" | "inside" | "cgroup"> {
    const directory = join(this.directory, side);
    const killAll = (): void => void this.#qemus.get(side)?.kill("SIGKILL");
    const cgroup = { procsFiles: () => [], create() {}, killAll } as never;
    return { id, directory, inside: directory, cgroup };
  }

  async #run(side: Side, command: readonly string[]): Promise<{ exitCode: number; output: string }> {
    const child = spawn("ip", ["netns", "exec", this.netns(side), ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += String(chunk)));
    const [code] = (await once(child, "exit")) as [number];
    return { exitCode: code, output };
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(side: Side): Promise<void> {
    const qemu = this.#qemus.get(side);
    if (qemu === undefined || qemu.exitCode !== null || qemu.signalCode !== null) return;
    const gone = once(qemu, "exit");
    qemu.kill("SIGKILL");
    await gone;
  }

  /** It answers nobody from now on, and is there. */
  holdStill(side: Side): void {
    this.#qemus.get(side)?.kill("SIGSTOP");
  }

  /** By which signal it was ended; undefined: it was not. */
  endedBy(side: Side): NodeJS.Signals | undefined {
    return this.#qemus.get(side)?.signalCode ?? undefined;
  }

  vm(side: Side): RunningVm {
    const vm = this.#vms.get(side);
    if (vm === undefined) throw new Error(`no QEMU on side ${side}`);
    return vm;
  }

  report(side: Side): MoveReport | undefined {
    return this.moves[side].report(id);
  }

  async step(side: Side, plan: MovePlan, withVm = true): Promise<void> {
    await this.moves[side].step(withVm ? this.vm(side) : undefined, this.place(side), plan, this.signal);
  }

  plans(move: string): {
    leaving: Extract<MovePlan, { side: "leaving" }>;
    arriving: Extract<MovePlan, { side: "arriving" }>;
  } {
    const token = `token of ${move}`;
    return {
      leaving: { side: "leaving", move, token, to: hostId("b"), toAddress: loopback },
      arriving: { side: "arriving", move, token, from: hostId("a"), fromAddress: loopback },
    };
  }

  /** Until a report says so; what is due is done meanwhile, as a host manager's passes do. */
  async until(
    side: Side,
    plan: MovePlan,
    phases: readonly MoveReport["phase"][],
    withVm = true,
    meanwhile: () => Promise<void> = () => Promise.resolve(),
  ): Promise<MoveReport> {
    for (;;) {
      await meanwhile();
      await this.step(side, plan, withVm);
      const report = this.report(side);
      if (report !== undefined && phases.includes(report.phase)) return report;
      await systemClock().sleep(5 as never, this.signal);
    }
  }

  /** Its side of a move that came to nothing, as when its appliance is destroyed. */
  async gone(side: Side, _plan: MovePlan): Promise<void> {
    await this.kill(side);
    await this.moves[side].forget(id, this.place(side), this.signal);
    await this.moves.a.forget(id, this.place("a"), this.signal);
  }

  /** What the guest answers to one request. */
  async ask(path: string): Promise<string> {
    const args = [
      "netns",
      "exec",
      this.netns("s"),
      "curl",
      "-s",
      "-m",
      "10",
      `http://${guestAddress}${path}`,
    ];
    const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += String(chunk)));
    await once(child, "exit");
    return text.trim();
  }

  async untilUp(): Promise<void> {
    while ((await this.ask("/")) !== "hello") await systemClock().sleep(50 as never, this.signal);
  }

  /** One request after the other until what it returns is called, which tells how they went. */
  requests(): () => Promise<Requests> {
    const args = [
      "netns",
      "exec",
      this.netns("s"),
      process.execPath,
      clientProgram,
      `http://${guestAddress}/`,
    ];
    const child = spawn("ip", args, { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += String(chunk)));
    return async () => {
      const ended = once(child, "close");
      child.stdin.end();
      await ended;
      return JSON.parse(text) as Requests;
    };
  }

  async close(): Promise<void> {
    for (const side of ["a", "b"] as const) {
      await this.moves[side].forget(id, this.place(side), this.signal);
      await this.moves[side].close();
      this.#vms.get(side)?.qmp.close();
      await this.kill(side);
    }
    this.#life.abort();
    for (const ns of ["a", "b", "s"] as const) execFileSync("ip", ["netns", "del", this.netns(ns)]);
    rmSync(this.directory, { recursive: true });
  }
}

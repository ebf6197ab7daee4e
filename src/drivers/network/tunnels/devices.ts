import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { findDaemons, isAlive, startDaemon, stopDaemon } from "./daemons.ts";
import type { ProcessMark, TunnelRecord, WantedTunnel } from "./decide.ts";
import { ensurePrivateKey, privateKeyFile } from "./keys.ts";
import { deviceAlias } from "./names.ts";
import { hasSharedKey, openVpnConfig, receivedBytes } from "./openvpn.ts";
import { hasPeerKey, readWireGuardDump, wireGuardArguments } from "./wireguard.ts";

const wireGuardSockets = "/var/run/wireguard";
const readyMsMax = millis(3000);
const pollMs = millis(3);

export type DeviceParts = {
  readonly mark: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly clock: Clock;
  readonly subprocess: Subprocess;
};

/** Tunnel devices and the processes behind them, in this network namespace. */
export class TunnelDevices {
  readonly #parts: DeviceParts;
  /** Undefined until the kernel was asked. */
  #kernelWireGuard: boolean | undefined;

  constructor(parts: DeviceParts) {
    this.#parts = parts;
  }

  /** Devices of this network namespace, by name; one read. (/sys would show those of whoever mounted it.) */
  present(): ReadonlySet<string> {
    const lines = readFileSync("/proc/net/dev", "utf8").split("\n").slice(2);
    return new Set(lines.map((line) => line.slice(0, Math.max(0, line.indexOf(":"))).trim()));
  }

  works(record: TunnelRecord, present: ReadonlySet<string>): boolean {
    const runs = record.process === undefined ? record.kind === "wireguard" : isAlive(record.process);
    return present.has(record.device) && runs;
  }

  /** Makes the device and its process if they are not there, and sets them up. `note` is called as soon as there is a process. */
  async setUp(
    wanted: WantedTunnel,
    known: TunnelRecord | undefined,
    note: (process: ProcessMark) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (known === undefined) await this.#create(wanted, note, signal);
    const { device, plan } = wanted;
    if (hasPeerKey(plan)) {
      const peers = readWireGuardDump(await this.#dump(device, signal)).map((peer) => peer.publicKey);
      const args = wireGuardArguments(plan, device, privateKeyFile(this.#parts.stateDir), peers);
      await this.#parts.subprocess.check("wg", args, signal);
    }
    await this.ip(
      [
        `link set dev ${device} alias "${deviceAlias(this.#parts.mark, plan.peerSite)}"`,
        `link set dev ${device} mtu ${plan.mtu}`,
        `addr flush dev ${device}`,
        `addr add ${plan.localTunnelAddress} peer ${plan.peerTunnelAddress}/32 dev ${device}`,
        `link set dev ${device} up`,
      ],
      signal,
    );
  }

  async #create(
    { device, plan }: WantedTunnel,
    note: (process: ProcessMark) => void,
    signal: AbortSignal,
  ): Promise<void> {
    mkdirSync(this.#parts.runDir, { recursive: true, mode: 0o755 });
    if (hasSharedKey(plan)) {
      await this.ip([`tuntap add dev ${device} mode tun`], signal);
      const configFile = this.#file(device, "conf");
      writeFileSync(configFile, openVpnConfig(plan, device, this.#file(device, "status")), { mode: 0o600 });
      note(await startDaemon("openvpn", ["--config", configFile], device, this.#file(device, "log"), {}));
      return;
    }
    ensurePrivateKey(this.#parts.stateDir);
    if (await this.#createInKernel(device, signal)) return;
    const daemon = await startDaemon("wireguard-go", ["-f", device], device, this.#file(device, "log"), {
      WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD: "1",
      LOG_LEVEL: "error",
    });
    note(daemon);
    const started = this.#parts.clock.monotonic();
    const socket = join(wireGuardSockets, `${device}.sock`);
    while (!existsSync(socket) || !this.present().has(device)) {
      if (!isAlive(daemon) || this.#parts.clock.monotonic() - started > readyMsMax) {
        const words = readFileSync(this.#file(device, "log"), "utf8").trim().slice(-300);
        throw new ConsortError("driver_failed", `Cannot start wireguard-go for ${plan.peerSite}: ${words}`);
      }
      await this.#parts.clock.sleep(pollMs, signal);
    }
  }

  async #createInKernel(device: string, signal: AbortSignal): Promise<boolean> {
    if (this.#kernelWireGuard === false) return false;
    const args = ["link", "add", "dev", device, "type", "wireguard"];
    const { code } = await this.#parts.subprocess.run("ip", args, signal);
    this.#kernelWireGuard = code === 0;
    return this.#kernelWireGuard;
  }

  /** Process, device, socket and files; each may be gone already. */
  async retire(record: TunnelRecord, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const daemons = record.process === undefined ? findDaemons(record.device) : [record.process];
    await Promise.all(daemons.map((daemon) => stopDaemon(daemon, clock, signal)));
    await this.#remove(record.device, signal);
    for (const suffix of ["conf", "status", "log"])
      rmSync(this.#file(record.device, suffix), { force: true });
    rmSync(join(wireGuardSockets, `${record.device}.sock`), { force: true });
  }

  /** wireguard-go's device goes by itself a moment after its process, so an error counts only if it stays. */
  async #remove(device: string, signal: AbortSignal): Promise<void> {
    if (!this.present().has(device)) return;
    const { code, stderr } = await this.#parts.subprocess.run("ip", ["link", "del", "dev", device], signal);
    if (code !== 0 && this.present().has(device)) {
      throw new ConsortError("driver_failed", `Cannot remove tunnel device ${device}: ${stderr.trim()}`);
    }
  }

  /** Authenticated bytes received since the process or device began; undefined when it cannot be told now. */
  async receivedBytes(record: TunnelRecord, signal: AbortSignal): Promise<number | undefined> {
    if (record.kind === "wireguard") {
      const peers = readWireGuardDump(await this.#dump(record.device, signal));
      return peers.reduce((sum, peer) => sum + peer.receivedBytes, 0);
    }
    try {
      return receivedBytes(readFileSync(this.#file(record.device, "status"), "utf8"));
    } catch {
      return undefined;
    }
  }

  async ip(lines: readonly string[], signal: AbortSignal): Promise<void> {
    if (lines.length === 0) return;
    await this.#parts.subprocess.check("ip", ["-batch", "-"], signal, { input: `${lines.join("\n")}\n` });
  }

  #dump(device: string, signal: AbortSignal): Promise<string> {
    return this.#parts.subprocess.check("wg", ["show", device, "dump"], signal);
  }

  #file(device: string, suffix: string): string {
    return join(this.#parts.runDir, `${device}.${suffix}`);
  }
}

import { createSocket } from "node:dgram";
import { messageOf } from "#base/errors.ts";
import { InTurn } from "#base/in-turn.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { isText, listOf, optional, readJson, shape } from "#base/shape.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";
import type { TunnelDriver } from "#drivers/network/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import type { TunnelReport } from "#protocol/host-report.ts";
import { findDaemons } from "./daemons.ts";
import { decideTunnels, wantTunnels, whatIsMissing } from "./decide.ts";
import type { TunnelRecord, WantedTunnel } from "./decide.ts";
import { TunnelDevices } from "./devices.ts";
import { ensurePrivateKey, readPublicKey } from "./keys.ts";
import { isUp, nextPulse } from "./liveness.ts";
import type { Pulse } from "./liveness.ts";
import { kindOfDevice, siteOfAlias } from "./names.ts";
import { readRecords, writeRecords } from "./records.ts";
import { ensureFilter, ensureRule, presentRoutes, removeFilter, removeRules } from "./routing-state.ts";
import { deviceRoutes, guardRoutes, routeLines } from "./routing.ts";

/** Routes, rules and filter are put right at least this often, whoever changed them. */
const fullPassMs = millis(30_000);
/** While one is not up: soon after anything was changed, then each time twice as long after. */
const watchMs = { up: millis(5000), soon: millis(10), waiting: millis(500) };
/** Nothing listens on it: the peer's answer, a refusal, is all we want. */
const probePort = 9;

const areLinks = listOf(shape({ ifname: isText, ifalias: optional(isText) }));

export type TunnelDriverOptions = {
  /** Letters that begin the name of every device of ours. */
  readonly mark: string;
  /** The gateway's key and the records of its tunnels; kept over restarts. */
  readonly stateDir: string;
  /** Configuration, status and log of user-space programs while they run. */
  readonly runDir: string;
  /** The interface towards other sites. */
  readonly outsideInterface: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly subprocess: Subprocess;
};

/** Encrypted tunnels of one site gateway, in the network namespace this process runs in. */
export function tunnelDriver(options: TunnelDriverOptions): TunnelDriver {
  return new GatewayTunnels(options);
}

class GatewayTunnels implements TunnelDriver {
  readonly #options: TunnelDriverOptions;
  readonly #devices: TunnelDevices;
  readonly #closing = new AbortController();
  readonly #probe = createSocket("udp4");
  #records: readonly TunnelRecord[] = [];
  #plans: readonly TunnelPlan[] = [];
  #pulses = new Map<string, Pulse>();
  #fullPassAt = Number.NEGATIVE_INFINITY;
  readonly #turns = new InTurn();
  #watching = false;
  /** Ends the watch's rest: what was just set up is not up yet. */
  readonly #setUpAgain: Wake;
  #onChange: () => void = () => {};
  /** Told when there is something new to watch. */
  readonly #wake: Wake;

  constructor(options: TunnelDriverOptions) {
    this.#options = options;
    this.#wake = new Wake(options.clock);
    this.#devices = new TunnelDevices(options);
    this.#setUpAgain = new Wake(options.clock);
    this.#probe.on("error", () => {
      // A refusal, or no way there just now: the count of received bytes tells.
    });
    this.#probe.unref();
  }

  recover(signal: AbortSignal): Promise<void> {
    return this.#turns.run(async () => {
      const { mark, stateDir, subprocess } = this.#options;
      const recorded = readRecords(stateDir);
      const links = readJson(
        await subprocess.check("ip", ["-j", "-d", "link", "show"], signal),
        areLinks,
        "ip link",
      );
      const strays = links.flatMap((link): TunnelRecord[] => {
        const kind = kindOfDevice(mark, link.ifname);
        const peerSite = siteOfAlias(mark, link.ifalias ?? "");
        if (kind === undefined || peerSite === undefined) return [];
        return recorded.some((record) => record.device === link.ifname)
          ? []
          : [{ device: link.ifname, peerSite, kind }];
      });
      this.#records = [...recorded, ...strays].map((record) => {
        if (record.process !== undefined) return record;
        const [process] = findDaemons(record.device);
        return process === undefined ? record : { ...record, process };
      });
    });
  }

  publicKey(): Promise<string> {
    ensurePrivateKey(this.#options.stateDir);
    return Promise.resolve(readPublicKey(this.#options.stateDir));
  }

  converge(plans: readonly TunnelPlan[], signal: AbortSignal): Promise<void> {
    return this.#turns.run(() => this.#pass(plans, signal));
  }

  async #pass(plans: readonly TunnelPlan[], signal: AbortSignal): Promise<void> {
    const { mark, stateDir, clock } = this.#options;
    this.#plans = plans;
    const wanted = wantTunnels(mark, stateDir, plans);
    const present = this.#devices.present();
    const decision = decideTunnels(wanted, this.#records, (record) => this.#devices.works(record, present));
    const recent = clock.monotonic() - this.#fullPassAt < fullPassMs;
    if (decision.settled && recent && this.#guarded === guardKey(plans)) return;
    if (plans.length > 0) await this.#guard(plans, signal);
    for (const record of decision.retire) {
      await this.#devices.retire(record, signal);
      this.#pulses.delete(record.device);
      this.#keep(this.#records.filter((each) => each.device !== record.device));
    }
    const failures: unknown[] = [];
    for (const tunnel of decision.setUp) {
      await this.#setUp(tunnel, signal).catch((cause: unknown) => {
        signal.throwIfAborted();
        failures.push(cause);
      });
    }
    await this.#route(wanted, signal);
    this.#guarded = guardKey(plans);
    if (failures.length > 0) throw failures[0];
    this.#fullPassAt = clock.monotonic();
    if (decision.setUp.length > 0) this.#wake.now();
    if (plans.length > 0) this.#watch();
  }

  /** The plans whose guard holds, as text; a change of subnets must reach it even if no device changes. */
  #guarded = "";

  async #guard(plans: readonly TunnelPlan[], signal: AbortSignal): Promise<void> {
    const { mark, outsideInterface, subprocess } = this.#options;
    const lines = routeLines(guardRoutes(plans), await presentRoutes(subprocess, signal), false);
    await this.#devices.ip(lines, signal);
    await ensureRule(subprocess, signal);
    await ensureFilter(subprocess, mark, outsideInterface, plans, signal);
  }

  async #setUp(tunnel: WantedTunnel, signal: AbortSignal): Promise<void> {
    const { device, plan } = tunnel;
    const known = this.#records.find((record) => record.device === device);
    const others = this.#records.filter((record) => record.device !== device);
    let record: TunnelRecord = { device, peerSite: plan.peerSite, kind: plan.kind };
    if (known?.process !== undefined) record = { ...record, process: known.process };
    this.#keep([...others, record]);
    await this.#devices.setUp(
      tunnel,
      known,
      (process) => {
        record = { ...record, process };
        this.#keep([...others, record]);
      },
      signal,
    );
    this.#keep([...others, { ...record, generation: tunnel.generation }]);
    if (known === undefined) this.#pulses.set(device, { receivedBytes: 0 });
    this.#setUpAgain.now();
    this.#options.log.info(`Tunnel to ${plan.peerSite} set up`, { device, kind: plan.kind });
  }

  /** Into the devices that are there; then away with what nobody wants. */
  async #route(wanted: readonly WantedTunnel[], signal: AbortSignal): Promise<void> {
    const { mark, subprocess } = this.#options;
    const made = new Set(this.#records.filter((record) => record.generation !== undefined).map(deviceOf));
    const routes = [
      ...guardRoutes(wanted.map((tunnel) => tunnel.plan)),
      ...wanted.flatMap(({ plan, device }) => (made.has(device) ? deviceRoutes(plan, device) : [])),
    ];
    await this.#devices.ip(routeLines(routes, await presentRoutes(subprocess, signal), true), signal);
    if (wanted.length > 0) return;
    await removeRules(subprocess, signal);
    await removeFilter(subprocess, mark, signal);
  }

  observe(): readonly TunnelReport[] {
    const { mark, stateDir, clock } = this.#options;
    const present = this.#devices.present();
    return wantTunnels(mark, stateDir, this.#plans).map(({ device, plan }) => {
      const about = { peerSite: plan.peerSite, kind: plan.kind };
      const missing = whatIsMissing(plan);
      if (missing !== undefined) return { ...about, up: false, message: missing };
      const record = this.#records.find((each) => each.device === device);
      if (record === undefined || !this.#devices.works(record, present)) {
        return { ...about, up: false, message: "its device or process is not there" };
      }
      const up = isUp(plan.kind, this.#pulses.get(device), clock.monotonic());
      return up ? { ...about, up } : { ...about, up, message: `nothing heard from ${plan.peerAddress}` };
    });
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#turns.settled();
    this.#probe.close();
  }

  /** Samples what was received, often until all are up; sets up again what died. Ends with the last tunnel. */
  #watch(): void {
    if (this.#watching || this.#closing.signal.aborted) return;
    this.#watching = true;
    const signal = this.#closing.signal;
    const run = async (): Promise<void> => {
      let pause: Millis = watchMs.soon;
      let before = "";
      while (this.#plans.length > 0) {
        await this.#turns.run(() => this.#sample(signal));
        const reports = this.observe();
        const now = reports.map(({ peerSite, up }) => `${peerSite} ${up}`).join();
        if (now !== before) {
          pause = watchMs.soon;
          this.#onChange();
        }
        before = now;
        await this.#wake.wait(reports.every((report) => report.up) ? watchMs.up : pause, signal);
        pause = millis(Math.min(2 * pause, watchMs.waiting));
        await this.#turns
          .run(() => this.#pass(this.#plans, signal))
          .catch((cause: unknown) => {
            signal.throwIfAborted();
            this.#options.log.warn("Cannot mend a tunnel", { cause });
          });
      }
    };
    run()
      .catch((cause: unknown) => {
        if (!signal.aborted)
          this.#options.log.error(`Tunnels are not watched: ${messageOf(cause)}`, { cause });
      })
      .finally(() => {
        this.#watching = false;
      });
  }

  async #sample(signal: AbortSignal): Promise<void> {
    const present = this.#devices.present();
    for (const record of this.#records) {
      if (!this.#devices.works(record, present)) continue;
      const received = await this.#devices.receivedBytes(record, signal).catch(() => undefined);
      if (received === undefined) continue;
      const now = this.#options.clock.monotonic();
      this.#pulses.set(record.device, nextPulse(this.#pulses.get(record.device), received, now));
    }
    for (const plan of this.#plans) {
      this.#probe.send("", probePort, plan.peerTunnelAddress);
    }
  }

  #keep(records: readonly TunnelRecord[]): void {
    writeRecords(this.#options.stateDir, records);
    this.#records = records;
  }
}

const deviceOf = (record: TunnelRecord): string => record.device;
const guardKey = (plans: readonly TunnelPlan[]): string =>
  JSON.stringify(plans.map((plan) => [plan.peerSite, plan.peerAddress, plan.peerSubnets]));

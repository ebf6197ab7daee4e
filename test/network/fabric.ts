import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  applianceId,
  applianceName,
  ensembleName,
  hostId,
  ipv4Address,
  macAddress,
  networkId,
} from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { ProcessResult } from "#drivers/system/port.ts";
import type { NamingPlan, SegmentMember, SegmentPlan, ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import type { PairCounter } from "#protocol/host-report.ts";
import type { DriverAnswer, DriverOptions, DriverRequest } from "./driver-process.ts";

/** Two or more hosts on one switch, each a network namespace with one uplink, and appliances' namespaces. */

const subprocess = systemSubprocess();
const signal = new AbortController().signal;
const driverProgram = new URL("driver-process.ts", import.meta.url).pathname;
let fabrics = 0;

/** An appliance as a test describes it. */
export type Guest = {
  readonly ensemble: string;
  readonly network: string;
  readonly name: string;
  /** Number of its host, from 1. */
  readonly host: number;
  readonly number: number;
};

export class Fabric {
  readonly prefix: string;
  readonly hosts: readonly TestHost[];
  readonly #namespaces: string[] = [];

  private constructor(prefix: string, hosts: readonly TestHost[]) {
    this.prefix = prefix;
    this.hosts = hosts;
  }

  static async make(
    hostCount: number,
    bandwidthBps: BitsPerSecond,
    more: { readonly naming?: (host: number) => DriverOptions["naming"] } = {},
  ): Promise<Fabric> {
    fabrics += 1;
    const prefix = `nett${process.pid}x${fabrics}`;
    const numbers = Array.from({ length: hostCount }, (_each, at) => at + 1);
    const fabric = new Fabric(
      prefix,
      numbers.map(
        (number) => new TestHost(number, `${prefix}h${number}`, bandwidthBps, more.naming?.(number)),
      ),
    );
    try {
      await fabric.#wire();
    } catch (cause) {
      await fabric[Symbol.asyncDispose]();
      throw cause;
    }
    return fabric;
  }

  async #wire(): Promise<void> {
    const switchSpace = `${this.prefix}s`;
    await this.addNamespaces([switchSpace, ...this.hosts.map((host) => host.namespace)]);
    const plug = this.hosts.flatMap(({ number, namespace }) => [
      `link add p${number} netns ${switchSpace} type veth peer name uplink netns ${namespace}`,
    ]);
    await ipBatch(undefined, plug);
    await ipBatch(switchSpace, [
      "link add switch0 type bridge",
      "link set switch0 up",
      ...this.hosts.flatMap(({ number }) => [`link set p${number} master switch0 up`]),
    ]);
    for (const host of this.hosts) {
      await ipBatch(host.namespace, [
        "link set lo up",
        `addr add ${host.address}/24 dev uplink`,
        "link set uplink up",
        "route add default via 172.30.0.254",
      ]);
      await host.startDriver();
    }
  }

  async addNamespaces(names: readonly string[]): Promise<void> {
    this.#namespaces.push(...names);
    await ipBatch(
      undefined,
      names.map((name) => `netns add ${name}`),
    );
  }

  guestNamespace(guest: Guest): string {
    return `${this.prefix}g${guest.number}`;
  }

  async addGuests(guests: readonly Guest[]): Promise<void> {
    await this.addNamespaces(guests.map((guest) => this.guestNamespace(guest)));
    for (const guest of guests) await ipBatch(this.guestNamespace(guest), ["link set lo up"]);
  }

  /** Runs a program inside a guest. */
  inGuest(guest: Guest, file: string, ...args: readonly string[]): Promise<ProcessResult> {
    return subprocess.run("ip", ["netns", "exec", this.guestNamespace(guest), file, ...args], signal);
  }

  /** Runs a program in any namespace; its standard output. */
  inNamespace(namespace: string, file: string, ...args: readonly string[]): Promise<string> {
    return subprocess.check("ip", ["netns", "exec", namespace, file, ...args], signal);
  }

  /** One `tc` (or `ip`) for all lines. */
  async batchIn(namespace: string, file: "ip" | "tc", lines: readonly string[]): Promise<void> {
    await batch(file, namespace, lines);
  }

  spawnInGuest(guest: Guest, file: string, ...args: readonly string[]): ChildProcess {
    return this.spawnIn(this.guestNamespace(guest), file, ...args);
  }

  spawnIn(namespace: string, file: string, ...args: readonly string[]): ChildProcess {
    return spawn("ip", ["netns", "exec", namespace, file, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  }

  async reaches(from: Guest, to: Guest, ...options: readonly string[]): Promise<boolean> {
    const result = await this.inGuest(from, "ping", "-c1", "-W1", ...options, addressOfGuest(to));
    return result.code === 0;
  }

  /** Each host's plan for these guests. */
  plan(host: TestHost, guests: readonly Guest[], extra: PlanExtra = {}): NetworkPlan {
    const here = guests.filter((guest) => guest.host === host.number);
    const networks = new Set(here.map(networkOf));
    const segments = [...networks].map((network): SegmentPlan => {
      const inside = guests.filter((guest) => networkOf(guest) === network);
      const peers = new Set(inside.filter((guest) => guest.host !== host.number).map(hostAddressOf));
      const [first] = inside;
      return {
        network,
        vni: vniOf(first),
        mtu: extra.mtu ?? 1450,
        peers: [...peers],
        members: inside.map(memberOf),
        ...(extra.naming === true ? { naming: namingOf(first) } : {}),
      };
    });
    return {
      segments,
      ports: here.map((guest) => ({
        appliance: memberOf(guest).appliance,
        netns: `/run/netns/${this.guestNamespace(guest)}`,
        interface: {
          name: "eth0",
          network: networkOf(guest),
          mac: macOfGuest(guest),
          address: addressOfGuest(guest),
          prefixLength: 16,
        },
      })),
      shapedPairs: extra.shaped ?? [],
      ...(extra.traffic === undefined
        ? {}
        : {
            traffic: extra.traffic.filter(({ macs }) =>
              here.some((guest) => macs.includes(macOfGuest(guest))),
            ),
          }),
    };
  }

  /** All hosts at once. */
  async converge(guests: readonly Guest[], extra: PlanExtra = {}): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.converge(this.plan(host, guests, extra))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host.killDriver();
    await ipBatch(
      undefined,
      this.#namespaces.map((name) => `netns del ${name}`),
    );
  }
}

export type PlanExtra = {
  readonly mtu?: number;
  /** Addresses and names are served, at the same address in every network. */
  readonly naming?: true;
  readonly shaped?: readonly ShapedPair[];
  /** Each host's plan gets that of its own guests. */
  readonly traffic?: readonly TrafficPlan[];
};

export class TestHost {
  readonly number: number;
  readonly namespace: string;
  readonly address: string;
  readonly #bandwidthBps: BitsPerSecond;
  readonly #naming: DriverOptions["naming"];
  #driver: ChildProcess | undefined;

  constructor(
    number: number,
    namespace: string,
    bandwidthBps: BitsPerSecond,
    naming?: DriverOptions["naming"],
  ) {
    this.number = number;
    this.namespace = namespace;
    this.address = `172.30.0.${number}`;
    this.#bandwidthBps = bandwidthBps;
    this.#naming = naming;
  }

  async startDriver(): Promise<void> {
    const options = {
      mark: "cst",
      uplink: { interface: "uplink", address: this.address, bandwidthBps: this.#bandwidthBps },
      ...(this.#naming === undefined ? {} : { naming: this.#naming }),
    } satisfies DriverOptions;
    // Not by ip, which would hide the control groups.
    this.#driver = spawn(
      "nsenter",
      [`--net=/run/netns/${this.namespace}`, process.execPath, driverProgram, JSON.stringify(options)],
      { stdio: ["ignore", "inherit", "inherit", "ipc"] },
    );
    await this.ask({ ask: "recover" });
  }

  /** As the kernel's out-of-memory killer would. */
  async killDriver(): Promise<void> {
    const driver = this.#driver;
    this.#driver = undefined;
    if (driver === undefined || driver.exitCode !== null || driver.signalCode !== null) return;
    driver.kill("SIGKILL");
    await once(driver, "exit");
  }

  get driver(): ChildProcess {
    if (this.#driver === undefined) throw new Error("the driver of this host is not running");
    return this.#driver;
  }

  async ask(request: DriverRequest): Promise<DriverAnswer> {
    const driver = this.driver;
    driver.send(request);
    const gone = new AbortController();
    const onExit = (): void => gone.abort(new Error("the driver's process ended"));
    driver.once("exit", onExit);
    const [answer] = (await once(driver, "message", { signal: gone.signal })) as [DriverAnswer];
    driver.off("exit", onExit);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  converge(plan: NetworkPlan): Promise<DriverAnswer> {
    return this.ask({ ask: "converge", plan });
  }

  async counters(): Promise<readonly PairCounter[]> {
    return (await this.ask({ ask: "counters" })).value as readonly PairCounter[];
  }

  /** Runs a program in the host's namespace; its standard output. */
  run(file: string, ...args: readonly string[]): Promise<string> {
    return subprocess.check("ip", ["netns", "exec", this.namespace, file, ...args], signal);
  }
}

const networkOf = (guest: Guest) => networkId(ensembleName(guest.ensemble), guest.network);
const hostAddressOf = (guest: Guest) => ipv4Address(`172.30.0.${guest.host}`);
export const macOfGuest = (guest: Guest) =>
  macAddress(
    `02:c0:00:00:${octets(guest.number)
      .map((octet) => octet.toString(16).padStart(2, "0"))
      .join(":")}`,
  );
export const addressOfGuest = (guest: Guest) => ipv4Address(`10.77.${octets(guest.number).join(".")}`);

function octets(number: number): readonly number[] {
  return [Math.floor(number / 256), number % 256];
}

function vniOf(guest: Guest | undefined): number {
  const text = guest === undefined ? "" : networkOf(guest);
  let value = 7;
  for (const letter of text) value = (value * 31 + (letter.codePointAt(0) ?? 0)) % 0xffffff;
  return value;
}

export const namingAddress = ipv4Address("10.77.255.1");

const namingOf = (guest: Guest | undefined): NamingPlan => ({
  address: namingAddress,
  mac: macAddress("02:cf:00:00:00:01"),
  prefixLength: 16,
  domain: `${guest?.ensemble ?? ""}.consort`,
});

function memberOf(guest: Guest): SegmentMember {
  return {
    appliance: applianceId(ensembleName(guest.ensemble), applianceName(guest.name)),
    name: guest.name,
    mac: macOfGuest(guest),
    address: addressOfGuest(guest),
    host: hostId(`host-${guest.host}`),
    hostAddress: hostAddressOf(guest),
  };
}

/** One direction. */
export function shaped(
  from: Guest,
  to: Guest,
  rateBps: number,
  extra: { ceilingBps?: number; priority?: number } = {},
): ShapedPair {
  return {
    network: networkOf(from),
    fromMac: macOfGuest(from),
    toMac: macOfGuest(to),
    rateBps: bitsPerSecond(rateBps),
    ...(extra.ceilingBps === undefined ? {} : { ceilingBps: bitsPerSecond(extra.ceilingBps) }),
    priority: extra.priority ?? 4,
  };
}

/** Rates in bits per second; gold unless told. */
export function trafficOf(
  guest: Guest,
  rates: { out?: number; in?: number; outCeiling?: number; inCeiling?: number },
  priority = 0,
): TrafficPlan {
  const given = (field: string, rate: number | undefined) =>
    rate === undefined ? {} : { [field]: bitsPerSecond(rate) };
  return {
    appliance: memberOf(guest).appliance,
    macs: [macOfGuest(guest)],
    ...given("outBps", rates.out),
    ...given("inBps", rates.in),
    ...given("outCeilingBps", rates.outCeiling),
    ...given("inCeilingBps", rates.inCeiling),
    priority,
  };
}

function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  return batch("ip", namespace, lines);
}

async function batch(
  file: "ip" | "tc",
  namespace: string | undefined,
  lines: readonly string[],
): Promise<void> {
  const where = namespace === undefined ? [] : ["-n", namespace];
  await subprocess.check(file, [...where, "-batch", "-"], signal, { input: `${lines.join("\n")}\n` });
}

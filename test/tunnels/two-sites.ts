import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { ipv4Address, siteName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { TunnelDriver } from "#drivers/network/port.ts";
import { deviceName } from "#drivers/network/tunnels/names.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { ProcessResult } from "#drivers/system/port.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import type { TunnelReport } from "#protocol/host-report.ts";
import type { GatewayAnswer, GatewayRequest } from "./gateway-process.ts";

/**
 * Two sites, each a host behind a gateway, and a router that would pass clear packets between them just as well:
 *
 *     host-a ── uplink gateway-a wan ── router ── wan gateway-b uplink ── host-b
 *
 * The hosts are joined by VXLAN, as segments are. The router counts VXLAN packets it sees in clear.
 */
const subprocess = systemSubprocess();
const clock = systemClock();
const { signal } = new AbortController();
const program = new URL("gateway-process.ts", import.meta.url).pathname;
const vxlanHeaderBytes = 50;
const testMark = "ttt";
let made = 0;

export const sharedKey = [
  "-----BEGIN OpenVPN Static key V1-----",
  ...Array.from({ length: 16 }, (_each, at) => at.toString(16).repeat(32)),
  "-----END OpenVPN Static key V1-----",
  "",
].join("\n");

type Site = "a" | "b";
const number: Readonly<Record<Site, number>> = { a: 1, b: 2 };
const other: Readonly<Record<Site, Site>> = { a: "b", b: "a" };

export class TwoSites {
  readonly prefix: string;
  readonly directory: string;
  readonly gateways: Readonly<Record<Site, Gateway>>;

  private constructor(prefix: string) {
    this.prefix = prefix;
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    this.gateways = {
      a: new Gateway(`${prefix}ga`, join(this.directory, "a")),
      b: new Gateway(`${prefix}gb`, join(this.directory, "b")),
    };
  }

  static async make(): Promise<TwoSites> {
    made += 1;
    const sites = new TwoSites(`tunt${process.pid}x${made}`);
    try {
      await sites.#wire();
    } catch (cause) {
      await sites[Symbol.asyncDispose]();
      throw cause;
    }
    return sites;
  }

  get #spaces(): string[] {
    return ["ha", "ga", "r", "gb", "hb"].map((name) => `${this.prefix}${name}`);
  }

  async #wire(): Promise<void> {
    const { prefix } = this;
    await ipBatch(undefined, [
      ...this.#spaces.map((space) => `netns add ${space}`),
      ...(["a", "b"] as const).flatMap((site) => [
        `link add uplink netns ${prefix}h${site} type veth peer name uplink netns ${prefix}g${site}`,
        `link add wan netns ${prefix}g${site} type veth peer name to${site} netns ${prefix}r`,
      ]),
    ]);
    for (const site of ["a", "b"] as const) {
      const n = number[site];
      await ipBatch(`${prefix}h${site}`, [
        "link set lo up",
        `addr add 10.71.${n}.10/24 dev uplink`,
        "link set uplink up",
        `route add default via 10.71.${n}.1`,
      ]);
      await ipBatch(`${prefix}g${site}`, [
        "link set lo up",
        `addr add 10.71.${n}.1/24 dev uplink`,
        `addr add 192.0.2.${n * 4 + 1}/30 dev wan`,
        "link set uplink up",
        "link set wan up",
        `route add 10.71.${number[other[site]]}.0/24 via 192.0.2.${n * 4 + 2}`,
        `route add 192.0.2.0/24 via 192.0.2.${n * 4 + 2}`,
      ]);
      await ipBatch(`${prefix}r`, [
        `addr add 192.0.2.${n * 4 + 2}/30 dev to${site}`,
        `link set to${site} up`,
        `route add 10.71.${n}.0/24 via 192.0.2.${n * 4 + 1}`,
      ]);
    }
    for (const name of ["ga", "r", "gb"]) {
      await this.check(name, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    }
    const counters = `table ip seen {
      counter clear {}
      counter clearFromA {}
      counter outer {}
      chain passing {
        type filter hook forward priority 0
        udp dport 4789 counter name clear
        udp dport 4789 iifname "toa" counter name clearFromA
        udp dport 51820-51830 counter name outer
      }
    }
`;
    await subprocess.check("ip", ["netns", "exec", `${prefix}r`, "nft", "-f", "-"], signal, {
      input: counters,
    });
  }

  /** Joins the hosts as a segment does. */
  async addVxlan(tunnelMtu: number): Promise<void> {
    for (const site of ["a", "b"] as const) {
      const [n, peer] = [number[site], number[other[site]]];
      await ipBatch(`${this.prefix}h${site}`, [
        `link add vx0 type vxlan id 77 dstport 4789 local 10.71.${n}.10 remote 10.71.${peer}.10 dev uplink`,
        `link set vx0 mtu ${tunnelMtu - vxlanHeaderBytes}`,
        `addr add 10.99.0.${n}/24 dev vx0`,
        "link set vx0 up",
      ]);
    }
  }

  /** Each gateway's plan of the tunnel to the other. */
  async plans(kind: TunnelPlan["kind"], mtu: number): Promise<Readonly<Record<Site, TunnelPlan>>> {
    const keys = { a: await this.gateways.a.publicKey(), b: await this.gateways.b.publicKey() };
    const plan = (site: Site): TunnelPlan => {
      const peer = other[site];
      return {
        peerSite: siteName(peer),
        kind,
        peerAddress: ipv4Address(`192.0.2.${number[peer] * 4 + 1}`),
        peerSubnets: [`10.71.${number[peer]}.0/24`],
        localPort: 51820,
        peerPort: 51820,
        localTunnelAddress: ipv4Address(`169.254.64.${number[site]}`),
        peerTunnelAddress: ipv4Address(`169.254.64.${number[peer]}`),
        mtu,
        ...(kind === "wireguard" ? { peerPublicKey: keys[peer] } : { sharedKey }),
      };
    };
    return { a: plan("a"), b: plan("b") };
  }

  run(space: string, command: readonly string[]): Promise<ProcessResult> {
    return subprocess.run("ip", ["netns", "exec", `${this.prefix}${space}`, ...command], signal);
  }

  check(space: string, command: readonly string[]): Promise<string> {
    return subprocess.check("ip", ["netns", "exec", `${this.prefix}${space}`, ...command], signal);
  }

  /** Packets the router has forwarded: VXLAN in clear, and tunnels' own. */
  async seen(): Promise<{ clear: number; clearFromA: number; outer: number }> {
    const text = await this.check("r", ["nft", "list", "counters"]);
    const count = (name: string): number =>
      Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(text)?.[1] ?? Number.NaN);
    return { clear: count("clear"), clearFromA: count("clearFromA"), outer: count("outer") };
  }

  /** Pings between the hosts over VXLAN; `size` is that of the IP packet, never to be fragmented. */
  async ping(count: number, size = 84): Promise<boolean> {
    const args = [
      "-c",
      String(count),
      "-i",
      "0.05",
      "-W",
      "2",
      "-M",
      "do",
      "-s",
      String(size - 28),
      "10.99.0.2",
    ];
    return (await this.run("ha", ["ping", ...args])).code === 0;
  }

  /** Mbit/s of one TCP stream between the hosts over VXLAN. */
  async bulk(seconds: number): Promise<number> {
    const server = this.run("hb", ["timeout", String(seconds + 10), "iperf3", "-s", "-1", "-B", "10.99.0.2"]);
    while (!(await this.check("hb", ["ss", "-Hltn", "sport", "=", "5201"])).includes("5201")) {
      await clock.sleep(millis(20), signal);
    }
    const text = await this.check("ha", ["iperf3", "-c", "10.99.0.2", "-t", String(seconds), "-J"]);
    await server;
    return Number(/"sum_received":\s*\{[^}]*"bits_per_second":\s*([\d.]+)/.exec(text)?.[1]) / 1e6;
  }

  /** What the gateway has beyond what the wiring gave it. */
  async leftovers(site: Site): Promise<string> {
    const space = `g${site}`;
    const links = (await this.check(space, ["ip", "-br", "link"]))
      .split("\n")
      .filter((line) => line !== "" && !/^(lo|uplink|wan)\b/.test(line));
    const rules = (await this.check(space, ["ip", "rule"]))
      .split("\n")
      .filter((line) => line.includes("7061"));
    const routes = (await this.run(space, ["ip", "route", "show", "table", "7061"])).stdout.trim();
    const filter = (await this.check(space, ["nft", "list", "ruleset"])).trim();
    return [...links, ...rules, routes, filter].filter((line) => line !== "").join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Object.values(this.gateways).map((gateway) => gateway.kill()));
    for (const space of this.#spaces) {
      for (const pid of await processesIn(space)) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // Gone in between.
        }
      }
      await subprocess.run("ip", ["netns", "del", space], signal);
    }
    for (const [site, gateway] of Object.entries(this.gateways)) {
      const device = deviceName(testMark, gateway.stateDir, site === "a" ? "b" : "a", "wireguard");
      rmSync(`/var/run/wireguard/${device}.sock`, { force: true });
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The driver of one gateway, in its namespace; may be killed and started again. */
export class Gateway implements TunnelDriver {
  readonly space: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly #waiting = new Map<number, (answer: GatewayAnswer) => void>();
  #child: ChildProcess | undefined;
  #asked = 0;
  #reports: readonly TunnelReport[] = [];

  constructor(space: string, directory: string) {
    this.space = space;
    this.stateDir = join(directory, "state");
    this.runDir = join(directory, "run");
  }

  #start(): ChildProcess {
    if (this.#child !== undefined) return this.#child;
    const args = [
      "netns",
      "exec",
      this.space,
      process.execPath,
      program,
      testMark,
      this.stateDir,
      this.runDir,
    ];
    const child = spawn("ip", args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    child.on("message", (answer: GatewayAnswer) => this.#waiting.get(answer.id)?.(answer));
    this.#child = child;
    return child;
  }

  /** The process on the other side of the pipe does not tell; who tests asks. */
  onChange(): void {}

  async #ask(request: GatewayRequest): Promise<GatewayAnswer["value"]> {
    const child = this.#start();
    const ended = new AbortController();
    const answer = await Promise.race([
      new Promise<GatewayAnswer>((resolve) => {
        this.#waiting.set(request.id, resolve);
        child.send(request);
      }),
      once(child, "exit", { signal: ended.signal }).then(() => {
        throw new ConsortError("unavailable", `Cannot ask the gateway process: it ended`);
      }),
    ]).finally(() => {
      ended.abort();
      this.#waiting.delete(request.id);
    });
    if (answer.error !== undefined) {
      throw new ConsortError(answer.error.code as ErrorCode, answer.error.message);
    }
    return answer.value;
  }

  #next(): number {
    this.#asked += 1;
    return this.#asked;
  }

  async recover(): Promise<void> {
    await this.#ask({ id: this.#next(), do: "recover" });
  }
  async publicKey(): Promise<string> {
    const key = await this.#ask({ id: this.#next(), do: "publicKey" });
    return typeof key === "string" ? key : "";
  }
  async converge(tunnels: readonly TunnelPlan[]): Promise<void> {
    await this.#ask({ id: this.#next(), do: "converge", tunnels });
    await this.look();
  }
  /** What was seen by the last look(). */
  observe(): readonly TunnelReport[] {
    return this.#reports;
  }
  async look(): Promise<readonly TunnelReport[]> {
    const value = await this.#ask({ id: this.#next(), do: "observe" });
    if (typeof value !== "string" && value !== undefined) this.#reports = value;
    return this.#reports;
  }
  async close(): Promise<void> {
    if (this.#child === undefined) return;
    const exit = once(this.#child, "exit");
    await this.#ask({ id: this.#next(), do: "close" }).catch(() => undefined);
    await exit;
    this.#child = undefined;
  }

  /** kill -9 of the manager; what it made lives on. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }

  async until(what: (reports: readonly TunnelReport[]) => boolean): Promise<readonly TunnelReport[]> {
    for (;;) {
      const reports = await this.look();
      if (what(reports)) return reports;
      await clock.sleep(millis(50), signal);
    }
  }

  /** Pids of tunnel programs in this gateway's namespace. */
  async daemons(): Promise<number[]> {
    return (await processesIn(this.space)).filter((pid) =>
      /^(wireguard-go|openvpn)/.test(readFileSync(`/proc/${pid}/comm`, "utf8")),
    );
  }

  /** Files in its run directory, and its records. */
  files(): string[] {
    const list = (directory: string): string[] => {
      try {
        return readdirSync(directory);
      } catch {
        return [];
      }
    };
    return [...list(this.runDir), ...list(this.stateDir)].toSorted();
  }
}

async function processesIn(space: string): Promise<number[]> {
  const { stdout } = await subprocess.run("ip", ["netns", "pids", space], signal);
  return stdout.split("\n").filter(Boolean).map(Number);
}

async function ipBatch(space: string | undefined, lines: readonly string[]): Promise<void> {
  const args = [...(space === undefined ? [] : ["-n", space]), "-batch", "-"];
  await subprocess.check("ip", args, signal, { input: `${lines.join("\n")}\n` });
}

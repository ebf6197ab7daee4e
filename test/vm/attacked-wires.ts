import { join } from "node:path";
import { ipv4Address } from "#base/ids.ts";

import type { Millis } from "#base/units.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { TwoSites } from "../tunnels/two-sites.ts";
import { linkMark } from "./attacked-place.ts";
import { subprocess } from "./guest-machine.ts";

type HostName = "a" | "b";
const hosts = ["a", "b"] as const;
const numbers = { a: 1, b: 2 } as const;
const tunnelMtu = 1400;

export const tunnelKinds = ["none", "wireguard", "openvpn"] as const;
export type TunnelKind = (typeof tunnelKinds)[number];

/** For a while: its cable, its site's way out, or all that it sends on that way, which nobody is told of. */
export type Cut = "cable" | "way out" | "silence";

type Plans = Readonly<Record<TunnelPlan["kind"], Readonly<Record<HostName, TunnelPlan>>>>;

/** Two hosts, each behind its site's gateway, and a router between; tunnels between the gateways come and go. */
export class AttackedWires {
  readonly #sites: TwoSites;
  readonly #plans: Plans;
  #kind: TunnelKind = "none";
  readonly #turns: Record<HostName, Promise<void>> = { a: Promise.resolve(), b: Promise.resolve() };
  readonly addresses = { a: ipv4Address("10.71.1.10"), b: ipv4Address("10.71.2.10") } as const;
  #problem: Error | undefined;

  private constructor(sites: TwoSites, plans: Plans) {
    this.#sites = sites;
    this.#plans = plans;
  }

  static async make(): Promise<AttackedWires> {
    const sites = await TwoSites.make();
    try {
      for (const host of hosts) await sites.gateways[host].recover();
      const [wireguard, openvpn] = [
        await sites.plans("wireguard", tunnelMtu),
        await sites.plans("openvpn", tunnelMtu),
      ];
      return new AttackedWires(sites, { wireguard, openvpn });
    } catch (cause) {
      await sites[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** For what lasts as long as they do. */
  get directory(): string {
    return join(this.#sites.directory, "hosts");
  }

  namespaceOf(host: HostName): string {
    return `${this.#sites.prefix}h${host}`;
  }

  /** Runs a program in a host's namespace; its standard output. */
  run(host: HostName, file: string, ...args: readonly string[]): Promise<string> {
    return this.#sites.check(`h${host}`, [file, ...args]);
  }

  /** Between the sites, from now on. */
  want(kind: TunnelKind): void {
    this.#kind = kind;
    for (const host of hosts) this.#converge(host, async () => {});
  }

  /** Its gateway's manager; another one comes. */
  killGateway(host: HostName): void {
    const gateway = this.#sites.gateways[host];
    this.#converge(host, async () => {
      await gateway.kill();
      await gateway.recover();
    });
  }

  /** What carries the tunnel. */
  async killTunnel(host: HostName): Promise<void> {
    const pids = await this.#sites.gateways[host].daemons();
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    this.#converge(host, async () => {});
  }

  async cut(host: HostName, cut: Cut, forMs: Millis): Promise<void> {
    const to = `to${host}`;
    const silent = `chain in { type filter hook ingress device "${to}" priority 0; policy drop; }`;
    const n = numbers[host];
    const { space, down, up } = {
      cable: { space: `g${host}`, down: "ip link set uplink down", up: "ip link set uplink up" },
      "way out": {
        space: "r",
        down: `ip link set ${to} down`,
        // Ways over a link end with it.
        up: `ip link set ${to} up && ip route replace 10.71.${n}.0/24 via 192.0.2.${n * 4 + 1}`,
      },
      silence: {
        space: "r",
        down: `nft 'table netdev cut-${host} { ${silent} }'`,
        up: `nft 'delete table netdev cut-${host}'`,
      },
    }[cut];
    // Another one of the same kind may end with it, or have ended it.
    await this.#sites.run(space, ["sh", "-c", down]);
    await clock.sleep(forMs, signal);
    await this.#sites.run(space, ["sh", "-c", up]);
  }

  /** Every machine's link on a host. */
  async cutPorts(host: HostName, forMs: Millis): Promise<void> {
    const shown = JSON.parse(await this.run(host, "ip", "-j", "link")) as readonly { ifname: string }[];
    const ports = shown.map(({ ifname }) => ifname).filter((name) => name.startsWith(`${linkMark}p`));
    for (const state of ["down", "up"]) {
      // One may have gone meanwhile.
      for (const name of ports)
        await subprocess.run("ip", ["-n", this.namespaceOf(host), "link", "set", name, state], signal);
      if (state === "down") await clock.sleep(forMs, signal);
    }
  }

  /** Of its segment, behind its manager's back: its bridge, the end of its tunnels, or the links of its machines. */
  async tear(host: HostName, part: "bridge" | "vxlan" | "veth"): Promise<void> {
    const shown = await this.run(host, "ip", "-j", "link", "show", "type", part);
    const names = (JSON.parse(shown) as readonly { ifname?: string }[]).flatMap(({ ifname }) => ifname ?? []);
    for (const name of names.filter((each) => each.startsWith(linkMark)))
      await subprocess.run("ip", ["-n", this.namespaceOf(host), "link", "del", name], signal);
  }

  /** Resolves when the tunnel that is wanted is up on both sides, and no other one is there. */
  async settled(giveUp: AbortSignal): Promise<void> {
    const abort = Promise.withResolvers<never>();
    giveUp.addEventListener("abort", () => abort.reject(new Error(`the ${this.#kind} tunnel is not up`)));
    await Promise.race([this.#up(), abort.promise]);
  }

  async #up(): Promise<void> {
    await Promise.all(Object.values(this.#turns));
    if (this.#problem !== undefined) throw this.#problem;
    const count = this.#kind === "none" ? 0 : 1;
    await Promise.all(
      hosts.map((host) =>
        this.#sites.gateways[host].until(
          (reports) => reports.length === count && reports.every(({ up }) => up),
        ),
      ),
    );
  }

  /** What the gateways have beyond their wires, which should be nothing without a tunnel. */
  async leftovers(): Promise<readonly string[]> {
    await Promise.all(Object.values(this.#turns));
    const left = await Promise.all(hosts.map((host) => this.#sites.leftovers(host)));
    return left.filter((text) => text !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Object.values(this.#turns));
    await this.#sites[Symbol.asyncDispose]();
  }

  /** One thing at a time; the last one that is wanted stays. */
  #converge(host: HostName, before: () => Promise<void>): void {
    const gateway = this.#sites.gateways[host];
    const earlier = this.#turns[host];
    this.#turns[host] = (async () => {
      await earlier;
      await before();
      await gateway.converge(this.#kind === "none" ? [] : [this.#plans[this.#kind][host]]);
    })().catch((cause: unknown) => void (this.#problem ??= new Error(`the gateway of ${host}`, { cause })));
  }
}

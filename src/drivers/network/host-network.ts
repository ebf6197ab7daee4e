import { ConsortError } from "#base/errors.ts";
import { InTurn } from "#base/in-turn.ts";
import type { NetworkId } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { PairCounter } from "#protocol/host-report.ts";
import { forwardingChange, wantedEntries } from "./forwarding-change.ts";
import { addTunnelEntry, removeTunnelEntry, showTunnelEntries, tunnelEntryOf } from "./kernel/forwarding.ts";
import type { ForwardingEntry } from "./kernel/forwarding.ts";
import { bridgesUseIpFilter, keepIpFilterOffBridges } from "./kernel/bridge-filter.ts";
import { cannotSort } from "./arrivals-executor.ts";
import type { LaterDrops } from "./class-book.ts";
import { bestEffortMinor, minorMax, minorMin } from "./class-numbers.ts";
import { Nftables } from "./kernel/nftables.ts";
import { KernelSocket } from "./kernel/route-socket.ts";
import { netfilterProtocol } from "./kernel/set-elements.ts";
import type { pairElements } from "./kernel/set-elements.ts";
import { LinkExecutor } from "./link-executor.ts";
import { linkSteps, wantedLinks } from "./link-steps.ts";
import type { FoundLink, LinkStep } from "./link-steps.ts";
import { bridgeName, namingPrefix, tunnelName } from "./names.ts";
import { NamingKeeper } from "./naming/keeper.ts";
import type { NamingOptions } from "./naming/keeper.ts";
import { NamingLinks } from "./naming/links.ts";
import { movedPairs, turnPage } from "./permissions.ts";
import type { NetworkDriver, NetworkPlan } from "./port.ts";
import { changedPart } from "./rate-change.ts";
import { readBack, showPairs } from "./read-back.ts";
import type { Known } from "./read-back.ts";
import { baseRuleset, cardCommands, elementCommands, removeRuleset } from "./ruleset.ts";
import { wantedShaping } from "./shaping.ts";
import type { Shaping } from "./shaping.ts";

const routeProtocol = 0;
/** Long enough for what was waiting for the network to be sent on its way. */
const namesDelayMs = millis(2);

export type HostNetworkOptions = {
  /** Three letters that begin the name of every link this driver makes. */
  readonly mark: string;
  readonly uplink: {
    readonly interface: string;
    /** Underlay address: where other hosts send this host's tunnelled frames. */
    readonly address: string;
    readonly bandwidthBps: BitsPerSecond;
  };
  /**
   * This network namespace is the host's alone, as in a lab: the uplink keeps its pace also while no segment needs
   * it, and bridged frames are not shown to the IP packet filter.
   */
  readonly ownNamespace?: boolean;
  /** Absent: addresses and names of segments are not served. */
  readonly naming?: NamingOptions;
  readonly log: Log;
};

/**
 * The network of one host, in the network namespace this process runs in: a bridge and a VXLAN device per segment, a
 * pair of links per interface, one packet filter table, one class hierarchy. Everything goes over netlink and
 * libnftables in process. The kernel is the record: names and aliases carry our mark, so nothing is kept on disk.
 */
export function hostNetworkDriver(options: HostNetworkOptions): NetworkDriver {
  return new HostNetwork(options);
}

class HostNetwork implements NetworkDriver {
  readonly #options: HostNetworkOptions;
  readonly #route = new KernelSocket(routeProtocol);
  readonly #netfilter = new KernelSocket(netfilterProtocol);
  readonly #nft = new Nftables();
  readonly #links: LinkExecutor;
  readonly #naming: NamingKeeper | undefined;
  #namesFailed = false;
  #callOffNames: (() => void) | undefined;
  #known: Known | undefined;
  #segments: readonly NetworkId[] = [];
  readonly #turns = new InTurn();

  constructor(options: HostNetworkOptions) {
    this.#options = options;
    this.#links = new LinkExecutor(this.#route, options.mark);
    bypassIpFilter(options);
    const { naming, mark, log } = options;
    if (naming !== undefined) {
      const namingLinks = new NamingLinks(this.#route, mark);
      this.#naming = new NamingKeeper(naming, namingLinks, log, () => this.#repairNaming());
    }
  }

  recover(signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, () => {
      this.#known = this.#readBack();
      return Promise.resolve();
    });
  }

  converge(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async () => {
      const known = (this.#known ??= this.#readBack());
      // Until the end is reached nobody knows what is in the kernel; the next converge reads it back.
      this.#known = undefined;
      const problems = this.#changeRates(plan, known) ? [] : await this.#apply(plan, known);
      this.#known = known;
      this.#segments = plan.segments.map((segment) => segment.network);
      const [first] = problems;
      if (first !== undefined) throw first;
    });
  }

  counters(signal: AbortSignal): Promise<readonly PairCounter[]> {
    signal.throwIfAborted();
    const networkOf = new Map<string, NetworkId>();
    for (const { network, local } of this.#known?.book.values() ?? []) {
      if (network !== undefined) for (const mac of local) networkOf.set(mac, network);
    }
    const counters: PairCounter[] = [];
    for (const { from, to, packets, bytes } of this.#pairs(true)) {
      const network = networkOf.get(from);
      if (network === undefined) continue;
      counters.push({
        network,
        fromMac: from as PairCounter["fromMac"],
        toMac: to as PairCounter["toMac"],
        packets,
        bytes,
      });
    }
    return Promise.resolve(counters);
  }

  segments(): readonly NetworkId[] {
    return this.#segments;
  }

  async close(): Promise<void> {
    this.#callOffNames?.();
    await this.#turns.settled();
    this.#naming?.close();
    this.#route.close();
    this.#netfilter.close();
    this.#nft.close();
    this.#links.close();
  }

  /** One change at a time. */
  #inTurn(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    return this.#turns.run(async () => {
      signal.throwIfAborted();
      await work();
    });
  }

  /** Where nothing else has changed since. A converge that is due does it, too. */
  #repairNaming(): void {
    const settled = this.#known?.settled;
    if (settled !== undefined) this.#serveNamesInTurn(settled.plan, settled.indices);
  }

  /** What is new can wait until those who will ask have been started; what ends, or has failed before, cannot. */
  async #serveNamesInTime(
    plan: NetworkPlan,
    indices: ReadonlyMap<string, number>,
    found: ReadonlyMap<string, FoundLink>,
  ): Promise<readonly ConsortError[]> {
    const { naming } = this.#options;
    this.#callOffNames?.();
    if (naming === undefined) return [];
    if (this.#namesFailed || this.#naming?.hasMoreThan(plan.segments) === true)
      return this.#serveNames(plan, indices, found);
    this.#callOffNames = naming.clock.timer(namesDelayMs, () => this.#serveNamesInTurn(plan, indices));
    return [];
  }

  /** What fails is told by the next converge, which tries again. */
  #serveNamesInTurn(plan: NetworkPlan, indices: ReadonlyMap<string, number>): void {
    const unending = new AbortController().signal;
    this.#inTurn(unending, async () => {
      const problems = await this.#serveNames(plan, indices);
      if (problems.length > 0 && this.#known !== undefined) delete this.#known.settled;
    }).catch((cause: unknown) => this.#options.log.error("names cannot be served", { cause }));
  }

  async #serveNames(
    plan: NetworkPlan,
    indices: ReadonlyMap<string, number>,
    found?: ReadonlyMap<string, FoundLink>,
  ): Promise<readonly ConsortError[]> {
    const bridgeOf = (vni: number): number | undefined => indices.get(bridgeName(this.#options.mark, vni));
    const seen = found === undefined ? { bridgeOf } : { bridgeOf, found };
    const problems = (await this.#naming?.converge(plan.segments, seen)) ?? [];
    this.#namesFailed = problems.length > 0;
    return problems;
  }

  async #apply(plan: NetworkPlan, known: Known): Promise<readonly ConsortError[]> {
    const { mark, uplink } = this.#options;
    const shaping = wantedShaping(plan, known.numbers, { mark, uplink });
    const sortsArrivals = shaping.arrivals !== undefined;
    const wanted = wantedLinks(plan, { mark, local: uplink.address, isFar: known.isFar, sortsArrivals });
    const ports = new Map(wanted.flatMap((link) => (link.kind === "veth" ? [[link.name, link.port]] : [])));
    const present = this.#links.observe(ports);
    const found = this.#withoutNaming(present);
    const steps = linkSteps(wanted, found);

    // Classes before frames are directed to them, permissions before links that use them; and the other way round.
    const drops = [...this.#setUplinkClasses(plan, shaping, known)];
    await this.#changeRules(plan, shaping, known);
    if (!sortsArrivals) await known.arrivals.change(undefined, new Map());
    const indices = new Map([...found.values()].map(({ name, index }) => [name, index]));
    const problems = [...(await this.#changeLinks(steps, indices))];
    this.#changeForwarding(plan, indices, known);
    drops.push(...this.#setOtherClasses(shaping, indices, known));
    problems.push(...(await known.arrivals.change(shaping.arrivals, indices)));
    this.#route.do(drops);
    problems.push(...(await this.#serveNamesInTime(plan, indices, present)));
    if (plan.segments.length === 0) await this.#removeRules(known);
    if (problems.length === 0) known.settled = { plan, indices };
    else delete known.settled;
    return problems;
  }

  /** Links to where names are served come and go with these; without a keeper they are nobody's. */
  #withoutNaming(found: ReadonlyMap<string, FoundLink>): ReadonlyMap<string, FoundLink> {
    const prefix = namingPrefix(this.#options.mark);
    return this.#naming === undefined
      ? found
      : new Map([...found].filter(([name]) => !name.startsWith(prefix)));
  }

  /** Where nothing but rates is new. Both sides of an adaptation change together, or neither does. */
  #changeRates(plan: NetworkPlan, known: Known): boolean {
    const { settled } = known;
    if (settled === undefined || known.rules !== "current" || !this.#links.isQuiet()) return false;
    const part = changedPart(settled.plan, plan);
    if (part === undefined) return false;
    const { mark, uplink } = this.#options;
    const { classes } = wantedShaping(part, known.numbers, { mark, uplink });
    const changes = [...classes].flatMap(([name, wanted]) => {
      const index = name === uplink.interface ? known.uplinkIndex : settled.indices.get(name);
      return index === undefined ? [] : [{ index, wanted, part: true }];
    });
    known.classes.change(changes);
    known.settled = { ...settled, plan: { ...plan, segments: part.segments, ports: part.ports } };
    return true;
  }

  #setUplinkClasses(plan: NetworkPlan, shaping: Shaping, known: Known): LaterDrops {
    const { uplink, ownNamespace } = this.#options;
    const isNeeded = plan.segments.length > 0 || ownNamespace === true;
    const wanted = isNeeded ? shaping.classes.get(uplink.interface) : undefined;
    return known.classes.change([{ index: known.uplinkIndex, wanted }]);
  }

  /** Ceilings within this host, and what arrives from others. */
  #setOtherClasses(shaping: Shaping, indices: ReadonlyMap<string, number>, known: Known): LaterDrops {
    known.classes.forgetAllBut(new Set([known.uplinkIndex, ...indices.values()]));
    return known.classes.change(
      [...indices].map(([name, index]) => ({ index, wanted: shaping.classes.get(name) })),
    );
  }

  /** One transaction. */
  async #changeRules(plan: NetworkPlan, shaping: Shaping, known: Known): Promise<void> {
    const { mark, uplink } = this.#options;
    const { book, change } = turnPage(mark, known.book, plan);
    const moved = movedPairs(book, change.addedPairs, known.directions, shaping.directions);
    const isFirst = plan.segments.length > 0 && known.rules !== "current";
    const before = isFirst ? [...known.book.values()].flatMap(({ askers }) => [...askers]) : [];
    const commands = [
      isFirst ? baseRuleset({ mark, uplink: uplink.interface, minorMin, minorMax }) : "",
      elementCommands(change, { numbers: shaping.directions, moved, sharedMinor: bestEffortMinor }),
      // Without rules of this process there may be no set for them, and all goes in a moment.
      isFirst || known.rules === "current" ? cardCommands(change, before) : "",
    ].filter((text) => text !== "");
    if (commands.length > 0) await this.#nft.transact(commands.join("\n"));
    known.book = book;
    known.numbers = shaping.numbers;
    known.directions = shaping.directions;
    if (isFirst) known.rules = "current";
  }

  async #removeRules(known: Known): Promise<void> {
    if (known.rules === "absent") return;
    await this.#nft.transact(removeRuleset);
    known.rules = "absent";
  }

  /** A port that cannot be made does not keep the others from being made. */
  async #changeLinks(
    steps: readonly LinkStep[],
    indices: Map<string, number>,
  ): Promise<readonly ConsortError[]> {
    const removals = steps.filter((step) => step.step === "remove");
    await this.#links.remove(removals);
    for (const { name } of removals) indices.delete(name);
    const problems: ConsortError[] = [];
    for (const step of steps) {
      if (step.step === "remove") continue;
      try {
        this.#links.carryOut(step, indices);
      } catch (cause) {
        if (!(cause instanceof ConsortError)) throw cause;
        if (step.link.kind !== "veth" && step.link.kind !== "ifb") throw cause;
        this.#options.log.warn("an interface could not be set up", { link: step.link.name, cause });
        problems.push(step.link.kind === "ifb" ? cannotSort(cause) : cause);
      }
    }
    return problems;
  }

  #changeForwarding(plan: NetworkPlan, indices: ReadonlyMap<string, number>, known: Known): void {
    const next = new Map<number, readonly ForwardingEntry[]>();
    for (const segment of plan.segments) {
      const index = indices.get(tunnelName(this.#options.mark, segment.vni));
      if (index === undefined) continue;
      const wanted = wantedEntries(segment, this.#options.uplink.address);
      const present = known.forwarding.get(index) ?? this.#readForwarding(index);
      const { added, removed } = forwardingChange(wanted, present);
      this.#route.do([
        ...added.map((entry) => addTunnelEntry(index, entry)),
        ...removed.map((entry) => removeTunnelEntry(index, entry)),
      ]);
      next.set(index, wanted);
    }
    known.forwarding = next;
  }

  #readBack(): Known {
    const { known, segments } = readBack({
      route: this.#route,
      netfilter: this.#netfilter,
      nft: this.#nft,
      links: this.#links,
      ...this.#options,
    });
    this.#segments = segments;
    return known;
  }

  #readForwarding(index: number): readonly ForwardingEntry[] {
    return this.#route
      .dump(showTunnelEntries(index))
      .flatMap((message) => tunnelEntryOf(message, index) ?? []);
  }

  #pairs(usedOnly: boolean): ReturnType<typeof pairElements> {
    return showPairs(this.#netfilter, { usedOnly });
  }
}

/** On a machine with other users the setting is theirs; they read what it may do to them in the log. */
function bypassIpFilter(options: HostNetworkOptions): void {
  if (!bridgesUseIpFilter()) return;
  if (options.ownNamespace === true) keepIpFilterOffBridges();
  else {
    options.log.warn(
      "the IP packet filter also sees bridged frames here; a FORWARD policy of drop stops appliances' traffic",
      {
        remedy: "sysctl net.bridge.bridge-nf-call-iptables=0, or accept interfaces of this mark in FORWARD",
        mark: options.mark,
      },
    );
  }
}

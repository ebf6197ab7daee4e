import { closeSync, openSync, statSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { addBridgeEntry } from "./kernel/forwarding.ts";
import { drain, inNamespace, openLinkWatch } from "./kernel/libc.ts";
import * as links from "./kernel/links.ts";
import type { KernelRequest } from "./kernel/netlink-codec.ts";
import { setOffload } from "./kernel/offload.ts";
import { KernelSocket } from "./kernel/route-socket.ts";
import type { FoundLink, LinkStep, WantedLink } from "./link-steps.ts";
import { carrierMac } from "./names.ts";
import type { PortPlan } from "./port.ts";

const routeProtocol = 0;

/** Carries out link steps in the kernel and reads links back. */
export class LinkExecutor {
  readonly #route: KernelSocket;
  readonly #prefix: string;
  readonly #watch = openLinkWatch();
  #seen: ReadonlyMap<string, FoundLink> | undefined;
  /** Path of a namespace → its inode when it was last looked at. */
  #namespaces = new Map<string, number>();
  readonly #home = openSync("/proc/thread-self/ns/net", "r");

  constructor(route: KernelSocket, mark: string) {
    this.#route = route;
    this.#prefix = mark;
  }

  close(): void {
    closeSync(this.#home);
    closeSync(this.#watch);
  }

  /**
   * All links with our mark; `ports` are compared with the namespaces they should lead to. Cheap while neither links
   * nor namespaces change: the kernel tells of links, and a namespace made anew has another inode.
   */
  observe(ports: ReadonlyMap<string, PortPlan>): ReadonlyMap<string, FoundLink> {
    const namespaces = new Map([...ports.values()].map(({ netns }) => [netns, inodeOf(netns)]));
    const isSame = [...namespaces].every(([path, inode]) => this.#namespaces.get(path) === inode);
    this.#namespaces = namespaces;
    if (this.isQuiet() && isSame && this.#seen !== undefined) return this.#seen;
    this.#seen = this.#look(ports);
    return this.#seen;
  }

  /** Whether no link has changed since all were looked at. */
  isQuiet(): boolean {
    if (drain(this.#watch)) this.#seen = undefined;
    return this.#seen !== undefined;
  }

  #look(ports: ReadonlyMap<string, PortPlan>): ReadonlyMap<string, FoundLink> {
    const found = new Map<string, FoundLink>();
    for (const message of this.#route.dump(links.showLinks())) {
      const link = links.linkOf(message, this.#prefix);
      if (link === undefined) continue;
      const port = ports.get(link.name);
      const elsewhere = port !== undefined && link.peerNamespaceId !== this.#namespaceId(port.netns);
      found.set(link.name, elsewhere ? { ...link, otherEndElsewhere: true } : link);
    }
    return found;
  }

  /** One wait of the kernel for all of them, on another thread. */
  async remove(removals: readonly (LinkStep & { step: "remove" })[]): Promise<void> {
    if (removals.length > 0) await this.#route.doSlowly(links.removeLinks(removals));
  }

  /** `indices` of bridges; grows by what is made. */
  carryOut(step: Exclude<LinkStep, { step: "remove" }>, indices: Map<string, number>): void {
    switch (step.step) {
      case "make":
        indices.set(step.link.name, this.#make(step.link, indices));
        return;
      case "finish":
        this.#finish(step.link, step.index, indices);
        return;
      case "mtu":
        this.#changeMtu(step.link, step.index);
        return;
      default:
        return step satisfies never;
    }
  }

  #make(link: WantedLink, indices: ReadonlyMap<string, number>): number {
    const { name, mtu } = link;
    switch (link.kind) {
      case "bridge":
      case "ifb": {
        const make = link.kind === "ifb" ? links.makeSorter : links.makeBridge;
        const index = this.#create(make({ name, mtu }), name);
        this.#finish(link, index, indices);
        return index;
      }
      case "vxlan": {
        const { vni, local } = link;
        const master = bridgeOf(link, indices);
        const index = this.#create(links.makeTunnelEnd({ name, mtu, vni, local, master }), name);
        this.#finish(link, index, indices);
        return index;
      }
      case "veth":
        return this.#makePort(link, indices);
      default:
        return link satisfies never;
    }
  }

  #makePort(link: WantedLink & { kind: "veth" }, indices: ReadonlyMap<string, number>): number {
    const { name, mtu, mac, port } = link;
    return inside(port, (namespaceFd) => {
      const master = bridgeOf(link, indices);
      const isCarrier = port.guest === true;
      const card = { name: port.interface.name, mac: isCarrier ? carrierMac(mac) : mac, namespaceFd };
      const index = this.#create(links.makePort({ name, mtu, master, inside: card }), name);
      this.#inNamespace(namespaceFd, (socket) => {
        const inner = this.#find(socket, port.interface.name);
        const { address, prefixLength } = port.interface;
        const target = { name: port.interface.name, index: inner };
        socket.do([
          isCarrier ? links.withoutIpv6(target) : links.addAddress({ index: inner, address, prefixLength }),
          links.setUp(target),
          ...(isCarrier ? joinBridge(socket, target) : []),
        ]);
      });
      this.#finish(link, index, indices);
      return index;
    });
  }

  #finish(link: WantedLink, index: number, indices: ReadonlyMap<string, number>): void {
    const { name, alias } = link;
    const requests: KernelRequest[] = [links.withoutIpv6({ name, index })];
    if (link.kind === "vxlan" || link.kind === "veth") {
      requests.push(links.setMaster({ name, index, master: bridgeOf(link, indices) }));
      // Until it has come, frames for it go both there and to where it still is.
      const isComing = link.kind === "veth" && link.port.coming === true;
      requests.push(links.bridgePortBehaviour({ name, index, flood: link.kind === "vxlan" || isComing }));
    }
    if (link.kind === "veth" && link.port.coming !== true)
      requests.push(addBridgeEntry({ index, mac: link.mac }));
    if (link.kind === "vxlan") setOffload(this.#route.fd, name, link.offload);
    requests.push(links.finishLink({ name, index, alias }));
    this.#route.do(requests);
  }

  /** Inside first: an appliance must not send what its port no longer takes. */
  #changeMtu(link: WantedLink, index: number): void {
    const { name, mtu } = link;
    if (link.kind === "veth") {
      inside(link.port, (namespaceFd) =>
        this.#inNamespace(namespaceFd, (socket) => {
          const inner = link.port.interface.name;
          socket.do([links.setMtu({ name: inner, index: this.#find(socket, inner), mtu })]);
        }),
      );
    }
    this.#route.do([links.setMtu({ name, index, mtu })]);
  }

  #create(request: KernelRequest, name: string): number {
    this.#route.do([request]);
    return this.#find(this.#route, name);
  }

  #find(socket: KernelSocket, name: string): number {
    const [answer] = socket.do([links.showLink(name)]);
    const message = answer?.messages[0];
    const link = message === undefined ? undefined : links.linkOf(message, name);
    if (link === undefined) {
      throw new ConsortError("driver_failed", `Cannot set up link ${name}: it is gone again`);
    }
    return link.index;
  }

  #namespaceId(path: string): number | undefined {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch {
      return undefined;
    }
    try {
      return links.namespaceIdOf(this.#route.do([links.askNamespaceId(fd)])[0]?.messages[0]);
    } finally {
      closeSync(fd);
    }
  }

  #inNamespace(namespaceFd: number, work: (socket: KernelSocket) => void): void {
    const socket = inNamespace(this.#home, namespaceFd, () => new KernelSocket(routeProtocol));
    try {
      work(socket);
    } finally {
      socket.close();
    }
  }
}

function bridgeOf(link: WantedLink & { bridge: string }, indices: ReadonlyMap<string, number>): number {
  const index = indices.get(link.bridge);
  if (index !== undefined) return index;
  throw new ConsortError(
    "driver_failed",
    `Cannot set up link ${link.name}: its bridge ${link.bridge} is missing`,
  );
}

/** A guest that has lost its interface keeps the bridge that was made for it. */
function joinBridge(
  socket: KernelSocket,
  carrier: { readonly name: string; readonly index: number },
): readonly KernelRequest[] {
  const all = socket.dump(links.showLinks()).flatMap((message) => links.linkOf(message, "") ?? []);
  const bridge = all.find(({ kind, alias }) => kind === "bridge" && alias === carrier.name);
  return bridge === undefined
    ? []
    : [
        links.setMaster({ ...carrier, master: bridge.index }),
        links.bridgePortBehaviour({ ...carrier, flood: true }),
      ];
}

/** 0 when there is no such namespace. */
function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

function inside<Result>(port: PortPlan, work: (namespaceFd: number) => Result): Result {
  let fd: number;
  try {
    fd = openSync(port.netns, "r");
  } catch (cause) {
    throw new ConsortError(
      "driver_failed",
      `Cannot connect ${port.appliance} to ${port.interface.network}: its network namespace ${port.netns} is missing`,
      { cause },
    );
  }
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

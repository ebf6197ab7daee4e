import { closeSync, openSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { addBridgeEntry } from "../kernel/forwarding.ts";
import { inNamespace, newNetworkNamespace } from "../kernel/libc.ts";
import * as links from "../kernel/links.ts";
import type { KernelLink } from "../kernel/links.ts";
import { KernelSocket } from "../kernel/route-socket.ts";
import { namingName } from "../names.ts";
import { namingInterface } from "./files.ts";
import type { NamedSegment } from "./files.ts";

const routeProtocol = 0;

/**
 * The link between a segment's bridge and a namespace of its own, in which its names are served. The namespace has no
 * name: it is gone, with the link, as soon as nothing runs in it.
 */
export class NamingLinks {
  readonly #route: KernelSocket;
  readonly #mark: string;
  readonly #home = openSync("/proc/thread-self/ns/net", "r");

  constructor(route: KernelSocket, mark: string) {
    this.#route = route;
    this.#mark = mark;
  }

  close(): void {
    closeSync(this.#home);
  }

  /** Whether it is there as the segment wants it. `found`: all links with our mark, where they were looked at. */
  isComplete(segment: NamedSegment, bridgeIndex: number, found?: ReadonlyMap<string, KernelLink>): boolean {
    const name = namingName(this.#mark, segment.vni);
    const link = found === undefined ? this.#find(this.#route, name) : found.get(name);
    return (
      link?.up === true &&
      !link.leaving &&
      link.alias === aliasOf(segment) &&
      link.master === bridgeIndex &&
      link.mtu === segment.mtu
    );
  }

  async remove(vni: number): Promise<void> {
    const name = namingName(this.#mark, vni);
    const present = this.#find(this.#route, name);
    if (present !== undefined) await this.#route.doSlowly(links.removeLinks([present]));
  }

  /** The new namespace, open: the caller starts what is to run in it, and closes it. */
  make(segment: NamedSegment, bridgeIndex: number): number {
    const { mtu, naming } = segment;
    const name = namingName(this.#mark, segment.vni);
    const namespaceFd = newNetworkNamespace(this.#home);
    try {
      const inside = { name: namingInterface, mac: naming.mac, namespaceFd };
      this.#route.do([links.makePort({ name, mtu, master: bridgeIndex, inside })]);
      this.#setUpInside(segment, namespaceFd);
      const index = this.#known(this.#route, name).index;
      this.#route.do([
        links.withoutIpv6({ name, index }),
        links.bridgePortBehaviour({ name, index, flood: false }),
        addBridgeEntry({ index, mac: naming.mac }),
        links.finishLink({ name, index, alias: aliasOf(segment) }),
      ]);
      return namespaceFd;
    } catch (cause) {
      closeSync(namespaceFd);
      throw cause;
    }
  }

  #setUpInside({ naming }: NamedSegment, namespaceFd: number): void {
    const { address, prefixLength } = naming;
    const socket = inNamespace(this.#home, namespaceFd, () => new KernelSocket(routeProtocol));
    try {
      const { index } = this.#known(socket, namingInterface);
      const target = { name: namingInterface, index };
      socket.do([
        links.withoutIpv6(target),
        links.addAddress({ index, address, prefixLength }),
        links.setUp(target),
      ]);
    } finally {
      socket.close();
    }
  }

  #known(socket: KernelSocket, name: string): KernelLink {
    const found = this.#find(socket, name);
    if (found !== undefined) return found;
    throw new ConsortError("driver_failed", `Cannot set up link ${name}: it is gone again`);
  }

  #find(socket: KernelSocket, name: string): KernelLink | undefined {
    const [answer] = socket.do([links.showLink(name)]);
    const message = answer?.messages[0];
    return message === undefined ? undefined : links.linkOf(message, name);
  }
}

const aliasOf = ({ network, naming }: NamedSegment): string =>
  `${network} names ${naming.address}/${naming.prefixLength} ${naming.mac}`;

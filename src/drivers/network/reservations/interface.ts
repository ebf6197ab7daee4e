import { ConsortError } from "#base/errors.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { ClassBook } from "../class-book.ts";
import { linkOf, showLink } from "../kernel/links.ts";
import { Nftables } from "../kernel/nftables.ts";
import * as queueing from "../kernel/queueing.ts";
import { KernelSocket } from "../kernel/route-socket.ts";
import { ReservationLedger } from "./ledger.ts";
import type { ShapedInterface } from "./ledger.ts";
import type { InterfaceReservations } from "./port.ts";
import { targetRuleset } from "./target-rules.ts";
import type { DirectedTarget } from "./target-rules.ts";

const routeProtocol = 0;
/** Handle of the hierarchy, unlike that of a host manager. */
const major = 0xc058;

/**
 * Takes over how frames leave one interface of this network namespace: everything without a reservation shares what is
 * left. One process per interface; its rules belong to it and go with it, whatever way it ends. What a process that was
 * killed leaves are classes nothing is directed to; the next one takes them away.
 */
export async function openInterfaceReservations(options: {
  readonly interface: string;
  /** Of the slowest cable on the way of what is reserved. */
  readonly bandwidthBps: BitsPerSecond;
}): Promise<InterfaceReservations> {
  const shaped = await KernelInterface.open(options.interface);
  try {
    return new ReservationLedger(options.bandwidthBps, shaped);
  } catch (cause) {
    await shaped.close();
    throw cause;
  }
}

class KernelInterface implements ShapedInterface {
  readonly #name: string;
  readonly #index: number;
  readonly #route: KernelSocket;
  readonly #nft: Nftables;
  readonly #classes: ClassBook;

  private constructor(name: string, index: number, route: KernelSocket, nft: Nftables) {
    this.#name = name;
    this.#index = index;
    this.#route = route;
    this.#nft = nft;
    this.#classes = new ClassBook(route, major, new Map());
  }

  static async open(name: string): Promise<KernelInterface> {
    const route = new KernelSocket(routeProtocol);
    const nft = new Nftables();
    try {
      const index = indexOf(route, name);
      await claim(nft, name, index);
      const discipline = disciplineOf(route, index);
      if (discipline !== undefined && discipline.handle !== queueing.handleOf(major, 0)) {
        throw new ConsortError(
          "conflict",
          `Cannot reserve bandwidth on ${name}: its traffic is already shaped by somebody else (${discipline.kind}), wanted an interface with its own default`,
        );
      }
      if (discipline !== undefined) route.do([queueing.removeRoot({ index, major })]);
      return new KernelInterface(name, index, route, nft);
    } catch (cause) {
      route.close();
      nft.close();
      throw cause;
    }
  }

  setClasses(classes: Parameters<ShapedInterface["setClasses"]>[0]): void {
    this.#classes.change([{ index: this.#index, wanted: classes, part: true }]);
  }

  dropClass(minor: number): void {
    this.#classes.drop(this.#index, minor);
  }

  direct(targets: readonly DirectedTarget[]): Promise<void> {
    const table = tableOf(this.#index);
    return this.#nft.transact(targetRuleset({ table, isNew: false, interface: this.#name, major, targets }));
  }

  async close(): Promise<void> {
    try {
      await this.#nft.transact(`delete table ip ${tableOf(this.#index)}`);
      this.#route.do([queueing.removeRoot({ index: this.#index, major })]);
    } finally {
      this.#route.close();
      this.#nft.close();
    }
  }
}

const tableOf = (index: number): string => `consort_link${index}`;

function indexOf(route: KernelSocket, name: string): number {
  const isName = /^[^\s"/]{1,15}$/.test(name);
  const message = isName ? route.do([showLink(name)])[0]?.messages[0] : undefined;
  const link = message === undefined ? undefined : linkOf(message, name);
  if (link !== undefined) return link.index;
  throw new ConsortError("not_found", `Cannot reserve bandwidth on ${name}: there is no such interface`);
}

/** A table that belongs to this process is the claim: nobody else can have it, nor take it away. */
async function claim(nft: Nftables, name: string, index: number): Promise<void> {
  const rules = targetRuleset({ table: tableOf(index), isNew: true, interface: name, major, targets: [] });
  try {
    await nft.transact(rules);
  } catch (cause) {
    throw new ConsortError(
      "conflict",
      `Cannot reserve bandwidth on ${name}: another process does so, or this one may not change the packet filter (root, or CAP_NET_ADMIN)`,
      { cause },
    );
  }
}

/** What somebody has put there; undefined for the kernel's own default. */
function disciplineOf(route: KernelSocket, index: number): queueing.KernelQdisc | undefined {
  return route
    .dump(queueing.showQdiscs())
    .map(queueing.qdiscOf)
    .find((each) => each.index === index && each.handle !== 0 && queueing.isRoot(each));
}

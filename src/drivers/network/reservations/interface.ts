import { ConsortError, messageOf } from "#base/errors.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { ClassBook } from "../class-book.ts";
import * as links from "../kernel/links.ts";
import { Nftables } from "../kernel/nftables.ts";
import * as queueing from "../kernel/queueing.ts";
import { KernelSocket } from "../kernel/route-socket.ts";
import { ReservationLedger } from "./ledger.ts";
import type { ShapedInterface } from "./ledger.ts";
import type { FlowDirection, InterfaceReservations } from "./port.ts";
import { claimRuleset, tableName, targetRuleset } from "./target-rules.ts";
import type { DirectedTarget, Passage } from "./target-rules.ts";

const routeProtocol = 0;
/** Handle of the hierarchy, unlike that of a host manager. */
const major = 0xc058;

export type InterfaceOptions = {
  readonly interface: string;
  /** Of the slowest cable on the way of what is reserved. */
  readonly bandwidthBps: BitsPerSecond;
  readonly direction: FlowDirection;
};

/**
 * Takes over how frames leave one interface of this network namespace, or how they arrive there: everything without a
 * reservation shares what is left. What arrives is held by a link of its own before this machine takes it in.
 *
 * One process per interface and direction; its rules belong to it and go with it, whatever way it ends. What a process
 * that was killed leaves are classes nothing is directed to, and that link; the next one takes them away. Throws
 * `unsupported` where the kernel cannot hold what arrives.
 */
export async function openInterfaceReservations(options: InterfaceOptions): Promise<InterfaceReservations> {
  const shaped = await KernelInterface.open(options.interface, options.direction);
  try {
    const ledger = new ReservationLedger(options.bandwidthBps, shaped);
    await shaped.direct([]);
    return ledger;
  } catch (cause) {
    await shaped.close();
    throw options.direction === "in" ? cannotHold(options.interface, cause) : cause;
  }
}

type Parts = {
  readonly route: KernelSocket;
  readonly nft: Nftables;
  readonly table: string;
  readonly name: string;
  readonly passage: Passage;
  /** The link that has the classes. */
  readonly shapedIndex: number;
};

class KernelInterface implements ShapedInterface {
  readonly #parts: Parts;
  readonly #classes: ClassBook;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#classes = new ClassBook(parts.route, major, new Map());
  }

  static async open(name: string, direction: FlowDirection): Promise<KernelInterface> {
    const route = new KernelSocket(routeProtocol);
    const nft = new Nftables();
    try {
      const link = linkNamed(route, name);
      if (link === undefined)
        throw new ConsortError(
          "not_found",
          `Cannot reserve bandwidth on ${name}: there is no such interface`,
        );
      const table = tableName({ direction }, `consort_link${link.index}`);
      await claim(nft, name, table);
      const parts = { route, nft, table, name };
      if (direction === "out") {
        takeOver(route, name, link.index);
        return new KernelInterface({ ...parts, passage: { direction }, shapedIndex: link.index });
      }
      const sorter = `vtmin${link.index}`;
      const shapedIndex = await makeSorter(route, name, { name: sorter, mtu: link.mtu });
      return new KernelInterface({ ...parts, passage: { direction, sorter }, shapedIndex });
    } catch (cause) {
      route.close();
      nft.close();
      throw cause;
    }
  }

  setClasses(classes: Parameters<ShapedInterface["setClasses"]>[0]): void {
    this.#classes.change([{ index: this.#parts.shapedIndex, wanted: classes, part: true }]);
  }

  dropClass(minor: number): void {
    this.#classes.drop(this.#parts.shapedIndex, minor);
  }

  direct(targets: readonly DirectedTarget[]): Promise<void> {
    const { nft, table, name, passage } = this.#parts;
    return nft.transact(targetRuleset({ table, interface: name, passage, major, targets }));
  }

  async close(): Promise<void> {
    const { route, nft, table, passage, shapedIndex } = this.#parts;
    try {
      await nft.transact(`delete table ${table}`);
      if (passage.direction === "out") route.do([queueing.removeRoot({ index: shapedIndex, major })]);
      else await route.doSlowly(links.removeLinks([{ name: passage.sorter, index: shapedIndex }]));
    } finally {
      route.close();
      nft.close();
    }
  }
}

function linkNamed(route: KernelSocket, name: string): links.KernelLink | undefined {
  const isName = /^[^\s"/]{1,15}$/.test(name);
  const message = isName ? route.do([links.showLink(name)])[0]?.messages[0] : undefined;
  return message === undefined ? undefined : links.linkOf(message, name);
}

/** A table that belongs to this process is the claim: nobody else can have it, nor take it away. */
async function claim(nft: Nftables, name: string, table: string): Promise<void> {
  try {
    await nft.transact(claimRuleset(table));
  } catch (cause) {
    throw new ConsortError(
      "conflict",
      `Cannot reserve bandwidth on ${name}: another process does so, or this one may not change the packet filter (root, or CAP_NET_ADMIN)`,
      { cause },
    );
  }
}

/** Takes away what a process that was killed has left at the way out. Throws `conflict` for what is somebody else's. */
function takeOver(route: KernelSocket, name: string, index: number): void {
  const discipline = route
    .dump(queueing.showQdiscs())
    .map(queueing.qdiscOf)
    // The kernel's own default has no handle.
    .find((each) => each.index === index && each.handle !== 0 && queueing.isRoot(each));
  if (discipline === undefined) return;
  if (discipline.handle !== queueing.handleOf(major, 0))
    throw new ConsortError(
      "conflict",
      `Cannot reserve bandwidth on ${name}: its traffic is already shaped by somebody else (${discipline.kind}), wanted an interface with its own default`,
    );
  route.do([queueing.removeRoot({ index, major })]);
}

/** In place of the one that a process that was killed has left. Its index. */
async function makeSorter(
  route: KernelSocket,
  of: string,
  sorter: { readonly name: string; readonly mtu: number },
): Promise<number> {
  const left = linkNamed(route, sorter.name);
  if (left !== undefined) await route.doSlowly(links.removeLinks([left]));
  try {
    route.do([links.makeSorter(sorter)]);
    const index = linkNamed(route, sorter.name)?.index ?? 0;
    const link = { name: sorter.name, index };
    route.do([links.withoutIpv6(link), links.finishLink({ ...link, alias: `what arrives by ${of}` })]);
    return index;
  } catch (cause) {
    throw cannotHold(of, cause);
  }
}

function cannotHold(name: string, cause: unknown): ConsortError {
  return new ConsortError(
    "unsupported",
    `Cannot reserve incoming bandwidth on ${name}: this machine's kernel lacks ifb links, or nftables forwarding at the ingress: ${messageOf(cause)}`,
    { cause },
  );
}

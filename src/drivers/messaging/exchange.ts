import type { Log } from "#base/runtime.ts";
import type { Frame, RoutedFrame } from "#drivers/messaging/frames.ts";

/**
 * One end as the exchange sees it. `hears`: the only addresses it is told the presence of, and so the only ones it asks
 * anything; absent: all. What a host is told of every other host would be the square of their number.
 */
export type Member = {
  readonly address: string;
  readonly hears?: readonly string[] | undefined;
  deliver(frame: Frame): void;
};

const hearsOf = ({ hears }: Member, address: string): boolean =>
  hears === undefined || hears.includes(address);

/**
 * Who is there and where frames go. Knows no sockets: the bus puts one member a connection, the fake one an end.
 * A frame's `from` is the address of the member it came from, whatever it says.
 */
export class Exchange {
  readonly #members = new Map<string, Member>();
  readonly #rooms = new Map<string, Set<Member>>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** A member whose address is taken replaces the one that has it, which is told so and returned. */
  join(member: Member): Member | undefined {
    const before = this.#members.get(member.address);
    if (before !== undefined) {
      this.#log.warn("A newer connection takes over an address", { address: member.address });
      this.leave(before);
      before.deliver({ kind: "refused", message: `a newer connection took over ${member.address}` });
    }
    const present = (member.hears ?? [...this.#members.keys()]).filter((one) => this.#members.has(one));
    this.#members.set(member.address, member);
    member.deliver({ kind: "welcome", present });
    this.#tellOthers(member, true);
    return before;
  }

  /** Does nothing for a member that was replaced already. */
  leave(member: Member): void {
    if (this.#members.get(member.address) !== member) return;
    this.#members.delete(member.address);
    for (const [room, listeners] of this.#rooms) {
      listeners.delete(member);
      if (listeners.size === 0) this.#rooms.delete(room);
    }
    this.#tellOthers(member, false);
  }

  accept(member: Member, frame: Frame): void {
    if (this.#members.get(member.address) !== member) return;
    switch (frame.kind) {
      case "request":
      case "reply":
      case "failure":
      case "cancel":
        return this.#route(frame.from === member.address ? frame : { ...frame, from: member.address });
      case "subscribe":
        return this.#subscribe(member, frame.room);
      case "unsubscribe": {
        const listeners = this.#rooms.get(frame.room);
        listeners?.delete(member);
        if (listeners?.size === 0) this.#rooms.delete(frame.room);
        return;
      }
      case "publish":
        for (const listener of this.#rooms.get(frame.room) ?? []) {
          if (listener !== member) listener.deliver({ ...frame, from: member.address });
        }
        return;
      case "hello":
      case "welcome":
      case "refused":
      case "presence":
        // Only the exchange says these; a member that does is not understood.
        this.#log.warn("Ignored a message", { from: member.address, kind: frame.kind });
        return;
      default:
        frame satisfies never;
    }
  }

  #route(frame: RoutedFrame): void {
    const to = this.#members.get(frame.to);
    if (to !== undefined) return to.deliver(frame);
    if (frame.kind !== "request") return;
    this.#members.get(frame.from)?.deliver({
      kind: "failure",
      from: frame.to,
      to: frame.from,
      id: frame.id,
      code: "unavailable",
      message: `Cannot reach ${frame.to}: it is not connected`,
    });
  }

  #subscribe(member: Member, room: string): void {
    const listeners = this.#rooms.get(room) ?? new Set();
    listeners.add(member);
    this.#rooms.set(room, listeners);
  }

  #tellOthers(member: Member, present: boolean): void {
    for (const other of this.#members.values()) {
      if (other === member || !hearsOf(other, member.address)) continue;
      other.deliver({ kind: "presence", address: member.address, present });
    }
  }
}

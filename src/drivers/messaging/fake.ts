import type { Log } from "#base/runtime.ts";
import { Endpoint } from "#drivers/messaging/endpoint.ts";
import { Exchange } from "#drivers/messaging/exchange.ts";
import type { Member } from "#drivers/messaging/exchange.ts";
import { decodeFrame, encodeFrame } from "#drivers/messaging/frames.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import type { Messaging } from "#drivers/messaging/port.ts";

export type FakeBus = {
  /** A new end; one that has the address already loses its place. `hears`: see Member. */
  connect(address: string, hears?: readonly string[]): Messaging;
  /** Cuts an end off, as if its connection had broken, or puts it back. */
  cut(address: string): void;
  mend(address: string): void;
};

/** A bus inside one process: messages are copied and arrive in order, one microtask later. */
export function fakeBus(log: Log): FakeBus {
  const exchange = new Exchange(log);
  const ends = new Map<string, { endpoint: Endpoint; member: Member }>();
  const connect = (address: string, hears?: readonly string[]): Messaging => {
    let joined = true;
    const member: Member = {
      address,
      hears,
      deliver: (frame) =>
        later(frame, (copy) => {
          if (copy.kind === "refused") endpoint.disconnected();
          endpoint.receive(copy);
        }),
    };
    const endpoint = new Endpoint({
      address,
      log,
      line: {
        send: (frame) => later(frame, (copy) => exchange.accept(member, copy)),
        close: async () => {
          if (joined) exchange.leave(member);
          joined = false;
        },
      },
    });
    ends.set(address, { endpoint, member });
    exchange.join(member);
    return endpoint;
  };
  return {
    connect,
    cut: (address) => {
      const end = ends.get(address);
      if (end === undefined) return;
      exchange.leave(end.member);
      end.endpoint.disconnected();
    },
    mend: (address) => {
      const end = ends.get(address);
      if (end !== undefined) exchange.join(end.member);
    },
  };
}

function later(frame: Frame, deliver: (copy: Frame) => void): void {
  const copy = decodeFrame(encodeFrame(frame));
  if (copy !== undefined) queueMicrotask(() => deliver(copy));
}

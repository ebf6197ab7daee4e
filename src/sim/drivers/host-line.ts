import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { Endpoint } from "#drivers/messaging/endpoint.ts";
import type { Member } from "#drivers/messaging/exchange.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import { reconnectDelay } from "#drivers/messaging/reconnect.ts";
import type { Buses, BusServer } from "#sim/drivers/bus.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";

type Way = { readonly from: string; readonly to: Incarnation; arrivedAtMs: number };

/** One connection to one bus. `welcomed`: the host knows that it stands. */
type Connection = {
  readonly server: BusServer;
  readonly up: Way;
  readonly down: Way;
  welcomed: boolean;
  member?: Member;
  /** Each end by itself: the other one may not know yet. */
  hostClosed: boolean;
  serverClosed: boolean;
};

/**
 * A host's line to the bus of a cluster manager, over the life of its process.
 *
 *   connect ──► hello ──► welcome ──► (frames) ──► closed by either end, or broken ──pause──► connect
 */
export class HostLine {
  readonly endpoint: Endpoint;
  readonly life: Incarnation;
  readonly #buses: Buses;
  readonly #address: string;
  readonly #hears: readonly string[] | undefined;
  #closed = false;
  #connection: Connection | undefined;
  /** Attempts that came to nothing since the last connection. */
  #failures = 0;
  /** Those of them that nobody answered. */
  #unanswered = 0;

  /** `hears`: see Member. */
  constructor(buses: Buses, life: Incarnation, address: string, log: Log, hears?: readonly string[]) {
    this.#buses = buses;
    this.life = life;
    this.#address = address;
    this.#hears = hears;
    this.endpoint = new Endpoint({
      address,
      log,
      line: { send: (frame) => this.#send(frame), close: () => this.#close() },
    });
  }

  connect(): void {
    if (this.#closed) return;
    const { servers, wire, settings } = this.#buses;
    const heard = servers.filter((server) => !wire.isCut(this.life.process, server.life.process));
    // After an attempt that nobody answered the next newest is tried.
    const server = heard[this.#unanswered % Math.max(1, heard.length)];
    if (server === undefined) return this.#retry();
    const connection: Connection = {
      server,
      up: { from: this.life.process, to: server.life, arrivedAtMs: 0 },
      down: { from: server.life.process, to: this.life, arrivedAtMs: 0 },
      welcomed: false,
      hostClosed: false,
      serverClosed: false,
    };
    this.#connection = connection;
    this.#buses.transmit(connection.up, { kind: "hello", address: this.#address }, () =>
      this.#join(connection),
    );
    this.life.later(this.life.draw(settings.keepAliveMs), "bus, nobody answers", () => {
      if (connection.welcomed || connection.hostClosed) return;
      this.#unanswered += 1;
      this.#closeHostEnd(connection);
    });
  }

  serverDied(server: BusServer): void {
    const connection = this.#connection;
    if (connection?.server !== server) return;
    connection.serverClosed = true;
    const { wire, settings } = this.#buses;
    const told = !wire.isCut(server.life.process, this.life.process);
    const delayMs = this.life.draw(told ? settings.messageMs : settings.keepAliveMs);
    this.life.later(delayMs, "bus, closed", () => this.#closeHostEnd(connection));
  }

  hostDied(silently: boolean): void {
    const connection = this.#connection;
    if (connection === undefined || connection.hostClosed) return;
    connection.hostClosed = true;
    this.#tellServer(connection, silently);
  }

  /** Hosts find out by and by that another one has the address now. */
  aNewerServes(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.life.later(this.life.draw(this.#buses.settings.followMs), "bus, a newer one", () => {
      if (connection.hostClosed || this.#buses.servers[0] === connection.server) return;
      this.#tellServer(connection, false);
      this.#closeHostEnd(connection);
    });
  }

  mayBreak(lasts: () => boolean): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { server } = connection;
    if (!this.#buses.wire.isBroken(this.life.process, server.life.process)) return;
    const { keepAliveMs } = this.#buses.settings;
    this.life.later(this.life.draw(keepAliveMs), "bus, line dead", () => {
      if (lasts()) this.#closeHostEnd(connection);
    });
    server.life.later(server.life.draw(keepAliveMs), "bus, line dead", () => {
      if (lasts()) this.#closeServerEnd(connection);
    });
  }

  #join(connection: Connection): void {
    const { server, down } = connection;
    if (connection.serverClosed || server.life.isDead) return;
    const member: Member = {
      address: this.#address,
      hears: this.#hears,
      deliver: (frame) => {
        if (connection.serverClosed || server.life.isDead) return;
        this.#buses.prepare(frame);
        this.#buses.transmit(down, frame, () => this.#receive(connection, frame));
        if (frame.kind === "refused") this.#closeServerEnd(connection);
      },
    };
    connection.member = member;
    server.exchange.join(member);
    // The host may be gone, or nothing may come back to it: then this end finds out by itself.
    const { wire, settings } = this.#buses;
    if (!connection.hostClosed && !wire.isBroken(this.life.process, server.life.process)) return;
    server.life.later(server.life.draw(settings.keepAliveMs), "bus, line dead", () => {
      if (connection.hostClosed || !connection.welcomed) this.#closeServerEnd(connection);
    });
  }

  #receive(connection: Connection, frame: Frame): void {
    // What comes to a closed end is answered with the news that it is closed.
    if (connection.hostClosed) return this.#tellServer(connection, false);
    if (frame.kind === "welcome") {
      connection.welcomed = true;
      this.#failures = 0;
      this.#unanswered = 0;
    }
    this.endpoint.receive(frame);
    if (frame.kind === "refused") this.#closeHostEnd(connection, messagingLimits.refusedMs);
  }

  #send(frame: Frame): void {
    const connection = this.#connection;
    if (connection === undefined || !connection.welcomed || connection.hostClosed) {
      // Rooms are joined again at the next welcome, and what is published may be lost.
      if (frame.kind !== "request") return;
      throw new ConsortError("unavailable", `Cannot reach ${frame.to}: the bus is not connected`);
    }
    this.#buses.prepare(frame);
    this.life.act(() =>
      this.#buses.transmit(connection.up, frame, () => {
        const { member, server, serverClosed } = connection;
        if (serverClosed) this.#tellHost(connection);
        else if (member !== undefined) server.exchange.accept(member, frame);
      }),
    );
  }

  #close(): Promise<void> {
    this.#closed = true;
    const connection = this.#connection;
    if (connection !== undefined) {
      connection.hostClosed = true;
      this.#tellServer(connection, false);
    }
    return Promise.resolve();
  }

  #closeHostEnd(connection: Connection, pauseMs?: number): void {
    if (connection.hostClosed) return;
    connection.hostClosed = true;
    if (this.#connection === connection) this.#connection = undefined;
    this.endpoint.disconnected();
    this.#retry(pauseMs);
  }

  #closeServerEnd(connection: Connection): void {
    if (connection.serverClosed) return;
    connection.serverClosed = true;
    if (connection.member !== undefined) connection.server.exchange.leave(connection.member);
  }

  #tellHost(connection: Connection): void {
    const { wire, settings } = this.#buses;
    if (connection.hostClosed || wire.isCut(connection.down.from, this.life.process)) return;
    const delayMs = this.life.draw(settings.messageMs);
    this.life.later(delayMs, "bus, closed", () => this.#closeHostEnd(connection));
  }

  #tellServer(connection: Connection, silently: boolean): void {
    const { server } = connection;
    if (connection.serverClosed) return;
    const { wire, settings } = this.#buses;
    const told = !silently && !wire.isCut(this.life.process, server.life.process);
    const delayMs = server.life.draw(told ? settings.messageMs : settings.keepAliveMs);
    server.life.laterAt(
      Math.max(connection.up.arrivedAtMs, this.#buses.time.nowMs + delayMs),
      "bus, closed",
      () => this.#closeServerEnd(connection),
    );
  }

  #retry(pauseMs?: number): void {
    const delayMs = pauseMs ?? reconnectDelay(this.#failures, this.life.chance.next());
    this.#failures += 1;
    this.life.later(delayMs, "bus, connect", () => this.connect());
  }
}

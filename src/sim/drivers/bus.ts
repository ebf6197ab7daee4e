import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { Endpoint } from "#drivers/messaging/endpoint.ts";
import { Exchange } from "#drivers/messaging/exchange.ts";
import type { Member } from "#drivers/messaging/exchange.ts";
import { encodeFrame } from "#drivers/messaging/frames.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { clusterAddress } from "#protocol/topics.ts";
import { deepFreeze, frameLabel } from "#sim/drivers/frame-label.ts";
import { HostLine } from "#sim/drivers/host-line.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import type { Wire } from "#sim/kernel/wire.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** The bus of one cluster manager's process: it lives and dies with it. */
export type BusServer = { readonly life: Incarnation; readonly exchange: Exchange };

type BusesParts = {
  readonly time: VirtualTime;
  readonly wire: Wire;
  readonly settings: SimulationSettings;
};

/**
 * The buses of all cluster managers, and the lines hosts have to them. The newest manager to start owns the address
 * that hosts connect to; an older one keeps the hosts that have not noticed.
 */
export class Buses {
  readonly time: VirtualTime;
  readonly wire: Wire;
  readonly settings: SimulationSettings;
  /** Newest first. */
  readonly servers: BusServer[] = [];
  readonly #lines = new Set<HostLine>();

  constructor(parts: BusesParts) {
    this.time = parts.time;
    this.wire = parts.wire;
    this.settings = parts.settings;
  }

  /**
   * The own end of a cluster manager's bus. One that takes over takes the address from whoever has it, as on another
   * machine would.
   * @throws `conflict` when a living one has it, and this one does not take over
   */
  open(life: Incarnation, log: Log, takesOver: boolean): Messaging {
    const other = this.servers.find((server) => !this.wire.isBroken(life.process, server.life.process));
    if (other !== undefined && !takesOver) {
      throw new ConsortError("conflict", `Cannot open the bus: ${other.life.process} listens there`);
    }
    const exchange = new Exchange(log);
    const own: Member = {
      address: clusterAddress,
      deliver: (frame) => queueMicrotask(() => endpoint.receive(frame)),
    };
    const endpoint = new Endpoint({
      address: clusterAddress,
      log,
      line: {
        send: (frame) => {
          this.prepare(frame);
          life.act(() => queueMicrotask(() => exchange.accept(own, frame)));
        },
        close: () => {
          this.died(life, false);
          return Promise.resolve();
        },
      },
    });
    exchange.join(own);
    this.servers.unshift({ life, exchange });
    for (const line of this.#lines) line.aNewerServes();
    return endpoint;
  }

  /** A host's end, which connects as soon as it can, and again whenever its line breaks. */
  connect(life: Incarnation, address: string, log: Log, hears?: readonly string[]): Messaging {
    const line = new HostLine(this, life, address, log, hears);
    this.#lines.add(line);
    line.connect();
    return line.endpoint;
  }

  /** A process died. `silently`: with its machine, so that nobody is told. */
  died(life: Incarnation, silently: boolean): void {
    const index = this.servers.findIndex((server) => server.life === life);
    const server = this.servers[index];
    if (server !== undefined) {
      this.servers.splice(index, 1);
      for (const line of this.#lines) line.serverDied(server);
    }
    for (const line of this.#lines) {
      if (line.life !== life) continue;
      this.#lines.delete(line);
      line.hostDied(silently);
    }
  }

  /** Something is cut off: lines that cross it break when nobody has heard anything for long enough. */
  wasCut(lasts: () => boolean): void {
    for (const line of this.#lines) line.mayBreak(lasts);
  }

  /** @throws `limit_exceeded`, `bad_input` */
  prepare(frame: Frame): void {
    if (!this.settings.freezesMessages) return;
    // What is too long or no JSON must fail here as it does on a real line.
    encodeFrame(frame);
    deepFreeze(frame);
  }

  /**
   * Sends one frame over a line. What belongs to the line itself arrives in order or not at all; what managers say to
   * each other suffers whatever the wire does.
   */
  transmit(
    way: { readonly from: string; readonly to: Incarnation; arrivedAtMs: number },
    frame: Frame,
    receive: () => void,
  ): void {
    const { from, to } = way;
    const routed = "from" in frame;
    const takes = to.draw(this.settings.messageMs);
    if (this.wire.isCut(from, to.process)) return;
    const fate = routed ? this.wire.fateOf(from, to.process) : [0];
    for (const lateMs of fate) {
      const arrivesAtMs = Math.max(this.time.nowMs + takes, way.arrivedAtMs) + lateMs;
      if (lateMs === 0) way.arrivedAtMs = arrivesAtMs;
      to.laterAt(arrivesAtMs, frameLabel(frame), receive);
    }
  }
}

import { connect } from "node:net";
import type { Socket } from "node:net";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { Endpoint } from "#drivers/messaging/endpoint.ts";
import { encodeFrame } from "#drivers/messaging/frames.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { reconnectDelay } from "#drivers/messaging/reconnect.ts";
import { readFrames } from "#drivers/messaging/socket-line.ts";

type ClientOptions = {
  path: string;
  address: string;
  /** The only addresses it wants to know the presence of, and asks anything; absent: all. */
  hears?: readonly string[];
  clock: Clock;
  random: Random;
  log: Log;
};

/**
 * An end of the bus at `path`, which need not be there yet: it connects as soon as it can, and again whenever
 * the connection breaks, until it is closed. Meanwhile nobody is present and requests fail at once.
 */
export function connectLocalBus(options: ClientOptions): Messaging {
  const closed = new AbortController();
  const connection: { socket: Socket | undefined; congested: boolean } = {
    socket: undefined,
    congested: false,
  };
  const endpoint = new Endpoint({
    address: options.address,
    log: options.log,
    line: {
      send: (frame) => send(connection, frame, options.log),
      close: async () => {
        closed.abort();
        await running;
      },
    },
  });
  const running = keepConnected(options, endpoint, connection, closed.signal);
  return endpoint;
}

type Connection = { socket: Socket | undefined; congested: boolean };

async function keepConnected(
  options: ClientOptions,
  endpoint: Endpoint,
  connection: Connection,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, log } = options;
  let failures = 0;
  while (!signal.aborted) {
    const end = await useOnce(options, endpoint, connection, signal);
    if (end.welcomed) failures = 0;
    const pause = end.refused ? messagingLimits.refusedMs : reconnectDelay(failures, random.next());
    failures += 1;
    if (failures === 1) log.debug("Not connected to the bus", { path: options.path, reason: end.reason });
    await clock.sleep(pause, signal).catch(() => {});
  }
}

type End = { welcomed: boolean; refused: boolean; reason: string };

/** One connection, from its making to its end. Never rejects. */
function useOnce(
  options: ClientOptions,
  endpoint: Endpoint,
  connection: Connection,
  signal: AbortSignal,
): Promise<End> {
  return new Promise((resolve) => {
    const end = { welcomed: false, refused: false, reason: "closed" };
    const socket = connect(options.path);
    const stop = (): void => {
      socket.destroy();
    };
    signal.addEventListener("abort", stop, { once: true });
    socket.once("connect", () => {
      const { address, hears } = options;
      const hello: Frame = { kind: "hello", address, ...(hears === undefined ? {} : { hears }) };
      socket.write(`${encodeFrame(hello)}\n`);
    });
    socket.on("error", (error) => {
      end.reason = messageOf(error);
    });
    socket.once("close", () => {
      signal.removeEventListener("abort", stop);
      connection.socket = undefined;
      endpoint.disconnected();
      resolve(end);
    });
    readFrames(socket, options.log, (frame) => {
      if (frame.kind === "refused") end.refused = true;
      if (frame.kind === "welcome") {
        end.welcomed = true;
        connection.socket = socket;
        connection.congested = false;
      }
      endpoint.receive(frame);
    });
  });
}

function send(connection: Connection, frame: Frame, log: Log): void {
  const { socket } = connection;
  if (socket === undefined) {
    // Rooms are joined again at the next welcome, and what is published may be lost.
    if (frame.kind !== "request") return;
    throw new ConsortError("unavailable", `Cannot reach ${frame.to}: the bus is not connected`);
  }
  const line = encodeFrame(frame);
  const congested = socket.writableLength + line.length > messagingLimits.backlogBytesMax;
  if (congested && frame.kind === "request") {
    throw new ConsortError("limit_exceeded", `Cannot ask ${frame.to}: too much waits to be sent already`);
  }
  if (congested && frame.kind === "publish") {
    if (!connection.congested) log.warn("Dropping what is published: the bus does not keep up");
    connection.congested = true;
    return;
  }
  connection.congested = false;
  socket.write(`${line}\n`);
}

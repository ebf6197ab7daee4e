import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { dirname } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { Endpoint } from "#drivers/messaging/endpoint.ts";
import { Exchange } from "#drivers/messaging/exchange.ts";
import type { Member } from "#drivers/messaging/exchange.ts";
import { encodeFrame, isAddress } from "#drivers/messaging/frames.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { readFrames } from "#drivers/messaging/socket-line.ts";

/** Everyone but the owner is kept out; the umask makes it so from the socket's first moment. */
const ownerOnlyUmask = 0o177;

/**
 * Opens the bus of one machine on a Unix socket and returns its own end. The file of a dead server is replaced.
 * @throws `conflict` when a living one has it.
 */
export async function openLocalBus(options: {
  path: string;
  address: string;
  clock: Clock;
  log: Log;
}): Promise<Messaging> {
  const { path, address, log } = options;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await clearStaleSocket(path);
  const exchange = new Exchange(log);
  const closed = new AbortController();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serve(socket, { ...options, exchange, closed: closed.signal });
  });
  await listen(server, path);
  // Later troubles (no file descriptor left for a new connection) pass; whoever wanted in tries again.
  server.on("error", (error) => log.error("The bus cannot accept a connection", { error }));

  const own: Member = { address, deliver: (frame) => queueMicrotask(() => endpoint.receive(frame)) };
  const endpoint = new Endpoint({
    address,
    log,
    line: {
      send: (frame) => {
        // What is too long or no JSON must fail here as it does at a client.
        encodeFrame(frame);
        queueMicrotask(() => exchange.accept(own, frame));
      },
      close: () => {
        closed.abort();
        exchange.leave(own);
        return new Promise((resolve) => {
          server.close(() => resolve());
          for (const socket of sockets) socket.destroy();
        });
      },
    },
  });
  exchange.join(own);
  return endpoint;
}

type Service = { exchange: Exchange; address: string; clock: Clock; log: Log; closed: AbortSignal };

function serve(socket: Socket, { exchange, address, clock, log, closed }: Service): void {
  let member: Member | undefined;
  const greeted = new AbortController();
  const tell = (frame: Frame): void => {
    if (socket.destroyed) return;
    socket.write(`${encodeFrame(frame)}\n`);
    if (socket.writableLength <= messagingLimits.backlogBytesMax) return;
    log.warn("Closed a connection of the bus: it does not read", { address: member?.address });
    socket.destroy();
  };
  const greet = (frame: Frame): void => {
    if (frame.kind !== "hello" || !isAddress(frame.address) || frame.address === address) {
      tell({ kind: "refused", message: "a free address was wanted first" });
      socket.end();
      return;
    }
    greeted.abort();
    member = {
      address: frame.address,
      hears: frame.hears,
      deliver: (delivered) => {
        tell(delivered);
        if (delivered.kind === "refused") socket.end();
      },
    };
    exchange.join(member);
  };
  clock.sleep(messagingLimits.helloMsMax, AbortSignal.any([greeted.signal, closed])).then(
    () => socket.destroy(),
    () => {},
  );
  // The close that follows says all there is to say.
  socket.on("error", () => {});
  socket.once("close", () => {
    greeted.abort();
    if (member !== undefined) exchange.leave(member);
  });
  readFrames(socket, log, (frame) => {
    if (member === undefined) greet(frame);
    else exchange.accept(member, frame);
  });
}

/** Only a socket nobody listens on is removed. */
function clearStaleSocket(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      reject(
        new ConsortError("conflict", `Cannot open the bus ${path}: another cluster manager listens there`),
      );
    });
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return resolve();
      if (error.code !== "ECONNREFUSED" || !lstatSync(path).isSocket())
        return reject(cannotOpen(path, error));
      unlinkSync(path);
      resolve();
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(cannotOpen(path, error));
    server.once("error", failed);
    const umask = process.umask(ownerOnlyUmask);
    try {
      server.listen(path, () => {
        server.off("error", failed);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

const cannotOpen = (path: string, cause: Error): ConsortError =>
  new ConsortError("driver_failed", `Cannot open the bus ${path}: ${messageOf(cause)}`, { cause });

import { closeSync, constants, lstatSync, openSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";

/** What the kernel takes as a socket's name, without the final zero. */
const pathBytesMax = 107;

/**
 * Connects to a Unix socket below a machine's directory. Longer paths than the kernel takes go through an open file
 * of the directory. Only a socket is followed: who serves it may write there and must not lead us elsewhere.
 * Rejects with `unavailable` when nobody listens.
 */
export async function connectUnix(path: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  let directory: number | undefined;
  try {
    directory =
      Buffer.byteLength(path) > pathBytesMax
        ? openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
        : undefined;
    const short = directory === undefined ? path : join(`/proc/self/fd/${directory}`, basename(path));
    if (!lstatSync(short).isSocket()) throw new Error("it is no socket");
    return await connected(short, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw new ConsortError("unavailable", `Cannot connect to ${path}: ${messageOf(cause)}`, { cause });
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
}

function connected(path: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(path);
  const abort = (): void => {
    socket.destroy();
    reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  socket.once("error", reject);
  socket.once("connect", () => {
    socket.off("error", reject);
    // Later ones end in "close", which is listened to.
    socket.on("error", () => {});
    resolve(socket);
  });
  return promise.finally(() => signal.removeEventListener("abort", abort));
}

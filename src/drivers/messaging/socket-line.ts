import type { Socket } from "node:net";
import type { Log } from "#base/runtime.ts";
import { decodeFrame } from "#drivers/messaging/frames.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import { Lines } from "#drivers/messaging/lines.ts";

/** Reads frames off a socket until it closes. A peer that breaks the framing is cut off. */
export function readFrames(socket: Socket, log: Log, onFrame: (frame: Frame) => void): void {
  const lines = new Lines(messagingLimits.frameBytesMax);
  const cutOff = (reason: string): void => {
    log.warn(`Closed a connection of the bus: ${reason}`);
    socket.destroy();
  };
  socket.on("data", (chunk: Buffer) => {
    const whole = lines.push(chunk);
    if (whole === "too long") return cutOff("a message was too long");
    for (const line of whole) {
      if (socket.destroyed) return;
      const frame = decodeFrame(line);
      if (frame === undefined) return cutOff("a message was not understood");
      onFrame(frame);
    }
  });
}

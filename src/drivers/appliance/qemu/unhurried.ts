import type { Socket } from "node:net";

const windowMs = 1000;

/**
 * Hears who may talk without end only so much in a second: what is more waits with them, and keeps nobody else waiting.
 * Called with how much was heard each time, in whatever it is counted in.
 */
export function unhurried(socket: Socket, perSecondMax: number): (heard: number) => void {
  let [beganAtMs, sum] = [performance.now(), 0];
  let rest: NodeJS.Timeout | undefined;
  socket.once("close", () => clearTimeout(rest));
  return (heard) => {
    const now = performance.now();
    if (now - beganAtMs > windowMs) [beganAtMs, sum] = [now, 0];
    sum += heard;
    if (sum <= perSecondMax || socket.destroyed) return;
    socket.pause();
    clearTimeout(rest);
    rest = setTimeout(() => socket.resume(), windowMs);
  };
}

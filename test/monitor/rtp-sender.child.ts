import { createSocket } from "node:dgram";
import { setTimeout as pause } from "node:timers/promises";

/**
 * Sends RTP to a port of this network namespace: `packets` in all, one frame each, `periodMs` apart, each `lossEvery`th
 * left out (0: none), each `lateEvery`th `lateMs` late. One line when the first is sent, another when all are.
 */
const [port = 0, packets = 0, periodMs = 0, lossEvery = 0, lateEvery = 0, lateMs = 0] = process.argv
  .slice(2)
  .map(Number);
const clockRateHz = 90_000;
const socket = createSocket("udp4");
const sent = (datagram: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send(datagram, port, "127.0.0.1", (error) => (error === null ? resolve() : reject(error)));
  });

const began = performance.now();
for (let index = 0; index < packets; index += 1) {
  const isLate = lateEvery > 0 && index % lateEvery === lateEvery - 1;
  const dueMs = began + index * periodMs + (isLate ? lateMs : 0);
  const wait = dueMs - performance.now();
  if (wait > 1) await pause(wait);
  if (lossEvery > 0 && index % lossEvery === lossEvery - 1) continue;
  const datagram = Buffer.alloc(12 + 100);
  datagram.writeUInt16BE(0x8060, 0);
  datagram.writeUInt16BE(index % 0x1_0000, 2);
  datagram.writeUInt32BE((index * periodMs * clockRateHz) / 1000, 4);
  datagram.writeUInt32BE(42, 8);
  await sent(datagram);
  if (index === 0) console.log("began");
}
console.log("done");
socket.close();

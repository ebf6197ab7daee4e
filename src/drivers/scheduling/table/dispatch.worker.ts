/**
 * The thread of the dispatcher that keeps time: of real-time priority where that is allowed, and with nothing else to
 * do, so that neither other programs nor other work of its own process make a slot late.
 */
import { parentPort, workerData } from "node:worker_threads";
import { becomeRealTime } from "../kernel/calls.ts";
import { jobControl } from "./control.ts";
import type { DispatchThreadData } from "./dispatch-thread.ts";
import { DispatchLoop } from "./loop.ts";
import { Rehearsal } from "./rehearsal.ts";
import { TableMemory, capacity, command, realTime, word } from "./memory.ts";

const priority = 50;
/** Between two heartbeats, also where slots are longer. */
const waitMsMax = 100;
/**
 * Waking up takes the kernel tens of microseconds, more or less: it is asked for this much earlier, and the clock is
 * watched for the rest. At most a part of a slot, as it is lost to others.
 */
const earlyMs = 0.06;
const earlyShare = 0.01;

/** The quickest of several readings tells best how two clocks differ. */
const clockReadings = 100;

const data = workerData as DispatchThreadData;
const memory = TableMemory.open(data.file);
const fds = new Int32Array(data.fds);
const reached = new Int32Array(data.reached);
const never = new Int32Array(new SharedArrayBuffer(4));
const loop = new DispatchLoop(
  memory,
  jobControl(memory, fds, (job) => parentPort?.postMessage(job, [])),
);
const { header } = memory;

/** What `performance.now()` was at the machine's start: slots are counted from there, whichever process counts. */
const bootMs = Math.min(
  ...Array.from({ length: clockReadings }, () => {
    const before = performance.now();
    return Number(process.hrtime.bigint()) / 1e6 - before;
  }),
);
const nowMs = (): number => bootMs + performance.now();

function beat(): void {
  Atomics.store(header, word.heartbeat, (Atomics.load(header, word.heartbeat) + 1) | 0);
}

/** False: it is not time yet, and something may have changed. */
function waitUntil(dueMs: number, spinMs: number): boolean {
  const leftMs = dueMs - nowMs();
  if (leftMs > spinMs) Atomics.wait(never, 0, 0, Math.min(leftMs - spinMs, waitMsMax));
  return leftMs <= waitMsMax;
}

function remember(lateMs: number, tookMs: number): void {
  const begun = Atomics.load(header, word.begun);
  memory.lateNs[begun % capacity.beginnings] = lateMs * 1e6;
  memory.tookNs[begun % capacity.beginnings] = tookMs * 1e6;
  Atomics.store(header, word.begun, (begun + 1) & 0x7fff_ffff);
}

const rehearsal = new Rehearsal();
const isRealTime = becomeRealTime(priority);
Atomics.store(header, word.realTime, isRealTime ? realTime.granted : realTime.refused);
let last = -1;
while (Atomics.load(header, word.command) !== command.end) {
  beat();
  const quantumMs = loop.quantumUs() / 1000;
  if (quantumMs === 0) {
    Atomics.wait(never, 0, 0, waitMsMax);
    continue;
  }
  const next = Math.floor(nowMs() / quantumMs) + 1;
  const dueMs = next * quantumMs;
  const spinMs = isRealTime ? Math.min(earlyMs, quantumMs * earlyShare) : 0;
  if (!waitUntil(dueMs, spinMs)) continue;
  if (spinMs > 0) {
    rehearsal.step();
    rehearsal.step();
    loop.prepare(next);
  }
  while (nowMs() < dueMs);
  const beginMs = nowMs();
  const slot = Math.floor(beginMs / quantumMs);
  if (slot === last) continue;
  last = slot;
  const lateMs = beginMs - dueMs;
  loop.dispatch(slot, Math.round(lateMs * 1000), Atomics.load(reached, 0));
  remember(lateMs, nowMs() - beginMs);
}
loop.end();
rehearsal.close();

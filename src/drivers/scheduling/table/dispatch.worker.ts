/**
 * The thread of the dispatcher that keeps time: of real-time priority where that is allowed, and with nothing else to
 * do, so that neither other programs nor other work of its own process make a slot late.
 */
import { parentPort, workerData } from "node:worker_threads";
import { readFileSync, readdirSync } from "node:fs";
import { becomeRealTime, setAnyProcessor, setProcessors } from "../kernel/calls.ts";
import { jobControl } from "./control.ts";
import type { DispatchThreadData } from "./dispatch-thread.ts";
import { DispatchLoop } from "./loop.ts";
import { Rehearsal } from "./rehearsal.ts";
import { TableMemory, capacity, command, realTime, word } from "./memory.ts";

const priority = 50;
/** Of threads that this one waits for now and then. */
const helperPriority = 40;
/** Between two heartbeats, also where slots are longer. */
const waitMsMax = 100;
/**
 * Waking up takes the kernel tens of microseconds, more or less: it is asked for this much earlier, and the clock is
 * watched for the rest. Before a slot that somebody waits for there is a rehearsal, too. At most a part of a slot, as
 * it is lost to others.
 */
const earlyMs = { awaited: 0.1, other: 0.04 } as const;
const earlyShare = 0.01;

/** After a slot of other programs; a second one takes a third of it. */
const rehearsalMsMax = 0.025;

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

/** In a function of its own, which the compiler makes quick soon: as it then is it leaves no garbage. */
function watchClock(dueMs: number): number {
  let now = nowMs();
  while (now < dueMs) now = nowMs();
  return now;
}

/** The threads that compile for this one: an ordinary one would have it wait until others let it run. */
function raiseHelpers(): void {
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      const name = readFileSync(`/proc/self/task/${thread}/comm`, "utf8");
      if (name.startsWith("V8Worker")) becomeRealTime(helperPriority, Number(thread));
    } catch {
      // It has ended.
    }
  }
}

/** Where most is dispatched: to stop and continue somebody on another processor takes that one's attention, too. */
function goTo(place: number): void {
  if (place === 0 || !setProcessors(0, [place - 1])) setAnyProcessor(0);
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
if (isRealTime) raiseHelpers();
let last = -1;
let place = 0;
while (Atomics.load(header, word.command) !== command.end) {
  beat();
  const wanted = Atomics.load(header, word.processor);
  if (isRealTime && wanted !== place) {
    place = wanted;
    goTo(place);
  }
  const quantumMs = loop.quantumUs() / 1000;
  if (quantumMs === 0) {
    Atomics.wait(never, 0, 0, waitMsMax);
    continue;
  }
  const next = Math.floor(nowMs() / quantumMs) + 1;
  const dueMs = next * quantumMs;
  const isAwaited = loop.begins(next);
  const early = isAwaited ? earlyMs.awaited : earlyMs.other;
  if (!waitUntil(dueMs, isRealTime ? Math.min(early, quantumMs * earlyShare) : 0)) continue;
  if (isRealTime && isAwaited) {
    loop.prepare(next);
    // One that takes too long would itself make the slot late.
    if (nowMs() < dueMs - rehearsalMsMax) rehearsal.step();
    if (nowMs() < dueMs - rehearsalMsMax) rehearsal.step();
  }
  const beginMs = watchClock(dueMs);
  const slot = Math.floor(beginMs / quantumMs);
  if (slot === last) continue;
  last = slot;
  const lateMs = beginMs - dueMs;
  loop.dispatch(slot, Math.round(lateMs * 1000), Atomics.load(reached, 0));
  remember(lateMs, nowMs() - beginMs);
}
loop.end();
rehearsal.close();

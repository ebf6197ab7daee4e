/**
 * The thread of the dispatcher that keeps time: of real-time priority where that is allowed, and with nothing else to
 * do, so that neither other programs nor other work of its own process make a slot late.
 */
import { parentPort, workerData } from "node:worker_threads";
import { readFileSync, readdirSync } from "node:fs";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { becomeRealTime, processorsOf, setAnyProcessor, setProcessors } from "../kernel/calls.ts";
import { jobControl } from "./control.ts";
import type { DispatchThreadData } from "./dispatch-thread.ts";
import { DispatchLoop } from "./loop.ts";
import { Rehearsal } from "./rehearsal.ts";
import { TableMemory, capacity, command, realTime, word } from "./memory.ts";
import { Usages } from "./usages.ts";

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

/** Time made up ends with the slot when it would end so shortly before the next one. */
const overtimeGapUs = 200;

/** The quickest of several readings tells best how two clocks differ. */
const clockReadings = 100;

const data = workerData as DispatchThreadData;
const memory = TableMemory.open(data.file);
const fds = new Int32Array(data.fds);
const reached = new Int32Array(data.reached);
const never = new Int32Array(new SharedArrayBuffer(4));
const loop = new DispatchLoop(
  memory,
  jobControl(memory, fds, {
    release: (job) => parentPort?.postMessage(job, []),
    usages: new Usages(memory, machineLayout()),
  }),
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

/**
 * The threads that compile for this one: ordinary ones would have it wait until others let them run. They come before
 * dispatched jobs, too, so they are kept off the processor that most of these are on.
 */
function raiseHelpers(): readonly number[] {
  const raised: number[] = [];
  for (const name of readdirSync("/proc/self/task")) {
    try {
      const isHelper = readFileSync(`/proc/self/task/${name}/comm`, "utf8").startsWith("V8Worker");
      if (isHelper && becomeRealTime(helperPriority, Number(name))) raised.push(Number(name));
    } catch {
      // It has ended.
    }
  }
  return raised;
}

/** Where most is dispatched: to stop and continue somebody on another processor takes that one's attention, too. */
function goTo(place: number, helpers: readonly number[]): void {
  const others = everywhere.filter((processor) => processor !== place - 1);
  for (const helper of helpers) setProcessors(helper, others.length === 0 ? everywhere : others);
  if (place === 0 || !setProcessors(0, [place - 1])) setAnyProcessor(0);
}

function remember(lateMs: number, tookMs: number): void {
  const begun = Atomics.load(header, word.begun);
  memory.lateNs[begun % capacity.beginnings] = lateMs * 1e6;
  memory.tookNs[begun % capacity.beginnings] = tookMs * 1e6;
  Atomics.store(header, word.begun, (begun + 1) & 0x7fff_ffff);
}

/** Stops those who make up for lost time, one after another, unless another slot begins first. */
function workOvertime(slotMs: number, quantumUs: number): void {
  let owedUs = loop.overtimeUs();
  while (owedUs > 0 && owedUs < quantumUs - overtimeGapUs) {
    if (waitUntil(slotMs + owedUs / 1000, 0)) loop.endOvertime(owedUs);
    else beat();
    owedUs = loop.overtimeUs();
  }
}

const rehearsal = new Rehearsal();
const isRealTime = becomeRealTime(priority);
Atomics.store(header, word.realTime, isRealTime ? realTime.granted : realTime.refused);
const everywhere = processorsOf(0) ?? [];
const helpers = isRealTime ? raiseHelpers() : [];
let last = -1;
let place = 0;
while (Atomics.load(header, word.command) !== command.end) {
  beat();
  const wanted = Atomics.load(header, word.processor);
  if (isRealTime && wanted !== place) {
    place = wanted;
    goTo(place, helpers);
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
  const isDue = waitUntil(dueMs, isRealTime ? Math.min(early, quantumMs * earlyShare) : 0);
  if (!isDue) continue;
  const wokenMs = nowMs();
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
  const doneMs = nowMs();
  remember(lateMs, doneMs - beginMs);
  const slotMs = slot * quantumMs;
  loop.owe(Math.round(1000 * (doneMs - slotMs)), Math.round(1000 * (doneMs - wokenMs)));
  workOvertime(slotMs, Math.round(1000 * quantumMs));
}
loop.end();
rehearsal.close();

import { layerOf, isTest } from "./layers.ts";

/** Calls we do not write, each with what to write instead and why. */
export type Ban = {
  readonly pattern: RegExp;
  readonly instead: string;
  readonly where: (path: string) => boolean;
};

const everywhere = (): boolean => true;
/** Decisions and managers: everything that also runs under virtual time. */
const aboveDrivers = (path: string): boolean => {
  const layer = layerOf(path);
  return layer !== undefined && layer !== "drivers" && !isTest(path);
};
const belowMain = (path: string): boolean => aboveDrivers(path) && layerOf(path) !== "main";

/** The one place where a simulation touches the event loop. */
const simulatedLoop = "src/sim/kernel/when-quiet.ts";
/** What a simulation runs as it is, and the simulation itself. */
const simulated = (path: string): boolean =>
  ["host", "cluster", "federation", "planner", "sim"].includes(layerOf(path) ?? "") &&
  !isTest(path) &&
  path !== simulatedLoop;

const clockReason = "time is a parameter (Clock of #base/runtime.ts), so that managers run in virtual time";

/** Matched against source without comments and strings. */
export const bans: readonly Ban[] = [
  { pattern: /\bDate\.now\b/, instead: `clock.now(): ${clockReason}`, where: aboveDrivers },
  { pattern: /\bnew Date\(\)/, instead: `clock.now(): ${clockReason}`, where: aboveDrivers },
  { pattern: /\bperformance\.now\b/, instead: `clock.monotonic(): ${clockReason}`, where: aboveDrivers },
  { pattern: /\bsetTimeout\b/, instead: `clock.sleep(): ${clockReason}`, where: aboveDrivers },
  { pattern: /\bsetInterval\b/, instead: `clock.sleep() in a loop: ${clockReason}`, where: aboveDrivers },
  {
    pattern: /\b(?:setImmediate|process\.nextTick)\b/,
    instead: "clock.sleep(), a promise or queueMicrotask(): a turn of the event loop escapes virtual time",
    where: simulated,
  },
  {
    pattern: /\bAbortSignal\.timeout\b/,
    instead: `clock.sleep() and an AbortController: ${clockReason}`,
    where: belowMain,
  },
  {
    pattern: /\bMath\.random\b/,
    instead: "Random of #base/runtime.ts: a failing run must be repeatable from its seed",
    where: aboveDrivers,
  },
  {
    pattern: /\bprocess\.env\b/,
    instead: "a parameter: only src/main reads the environment",
    where: belowMain,
  },
  {
    pattern: /\bprocess\.(?:on|once|exit)\b/,
    instead: "an AbortSignal or a returned exit code: only src/main handles signals and ends the process",
    where: belowMain,
  },
  {
    pattern: /\b(?:exec|execSync)\b[^;]*\bfrom "node:child_process"/,
    instead: "Subprocess of #drivers/system/port.ts: arguments are arrays, never a shell's text",
    where: everywhere,
  },
  {
    pattern: /\bshell: true\b/,
    instead: "an argument array: a shell reads names and values as code",
    where: everywhere,
  },
  { pattern: /\bas any\b/, instead: "unknown and a check, or the right type", where: everywhere },
  {
    pattern: /\b(?:describe|it|test|suite)\.only\(/,
    instead: "the plain call: the other tests must run too",
    where: everywhere,
  },
  {
    pattern: /\b(?:describe|it|test|suite|context|t)\.skip\(|\bskip: true\b/,
    instead: "a test that runs, or none: a skipped one proves nothing",
    where: everywhere,
  },
  {
    pattern: /\bdebugger\b/,
    instead: "nothing: it stops the process",
    where: everywhere,
  },
];

/** Matched against comments too. */
export const bannedWords: readonly Ban[] = [
  {
    pattern: /@ts-(?:ignore|nocheck)\b/,
    instead: "the right type, or @ts-expect-error with a reason",
    where: everywhere,
  },
  { pattern: /\b(?:TODO|FIXME|XXX)\b/, instead: "the work itself, or a line in docs/", where: everywhere },
  {
    pattern: /(?<![\w.])\/work\//,
    instead: "a path relative to the project: nobody else has that folder",
    where: everywhere,
  },
];

export const bannedFolders: ReadonlySet<string> = new Set(["utils", "common", "types", "core", "helpers"]);

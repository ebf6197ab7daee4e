import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { SwarmProfile } from "#sim/swarm/make-case.ts";
import type { Violation } from "#sim/swarm/run-case.ts";

/** What a child is told to run; answered with a SeedReport for each seed. */
export type SeedOrder = { readonly seeds: readonly number[]; readonly profile: SwarmProfile };

export type SeedReport = {
  readonly seed: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly traceHash: string;
  readonly violation?: Violation;
  /** Of a violation: for people. */
  readonly told?: string;
};

export type PoolOptions = {
  readonly profile: SwarmProfile;
  readonly signal: AbortSignal;
  /** Given to Node before the child's program: where a mutant is put in. */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Called for every seed as its report comes; true: that is enough. */
  readonly onReport?: (report: SeedReport) => boolean;
  readonly processes?: number;
};

/** So many seeds at once to a child: few enough that all end at about the same time. */
const seedsPerOrder = 10;

/**
 * Runs seeds in child processes, one to a core, and returns their reports in order of seeds. Throws when a child dies
 * of anything else than being told to stop.
 */
export async function runSeeds(seeds: readonly number[], options: PoolOptions): Promise<SeedReport[]> {
  const reports: SeedReport[] = [];
  const orders: number[][] = [];
  for (let at = 0; at < seeds.length; at += seedsPerOrder) orders.push(seeds.slice(at, at + seedsPerOrder));
  const enough = new AbortController();
  const signal = AbortSignal.any([options.signal, enough.signal]);
  const take = (report: SeedReport): void => {
    reports.push(report);
    if (options.onReport?.(report) === true) enough.abort();
  };
  const count = Math.min(options.processes ?? availableParallelism(), orders.length);
  await Promise.all(Array.from({ length: count }, () => work(orders, options, take, signal)));
  options.signal.throwIfAborted();
  return reports.sort((a, b) => a.seed - b.seed);
}

async function work(
  orders: number[][],
  options: PoolOptions,
  take: (report: SeedReport) => void,
  signal: AbortSignal,
): Promise<void> {
  const child = fork(join(import.meta.dirname, "seeds.child.ts"), {
    execArgv: [...(options.execArgv ?? [])],
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (let seeds = orders.shift(); seeds !== undefined && !signal.aborted; seeds = orders.shift()) {
      await serve(child, { seeds, profile: options.profile }, take);
    }
  } catch (cause) {
    if (!signal.aborted) throw cause;
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

function serve(child: ChildProcess, order: SeedOrder, take: (report: SeedReport) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = order.seeds.length;
  const onMessage = (message: unknown): void => {
    take(message as SeedReport);
    left -= 1;
    if (left === 0) resolve();
  };
  const onExit = (code: number | null, signal: string | null): void =>
    reject(new Error(`a child that ran seeds ${order.seeds.join(", ")} ended with ${code ?? signal}`));
  child.on("message", onMessage).once("exit", onExit);
  child.send(order);
  return promise.finally(() => child.off("message", onMessage).off("exit", onExit));
}

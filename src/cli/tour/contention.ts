import { ConsortError } from "#base/errors.ts";
import type { Ensemble } from "#model/ensemble.ts";

/**
 * The contention experiment (reference deva.md, Figures): HTTP between two appliances while two others move bulk
 * data over the same host link; first with nobody to keep the link, then with the links' bandwidth promised.
 */
export type ContentionCloud = {
  /** Resolves when all of it runs and is connected. */
  up(ensemble: Ensemble, signal: AbortSignal): Promise<void>;
  exec(
    appliance: string,
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
};

export type ContentionCase = {
  readonly name: "alone" | "unmanaged" | "managed";
  readonly responseMs: readonly number[];
  /** Goodput of the bulk transfer; absent when it rests. */
  readonly bulkBps?: number;
};

export type ContentionOptions = {
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly progress: (line: string) => void;
};

const bulkStreams = 4;
/** Bulk data flows this long before the first request is measured. */
const bulkHeadStartS = 1;

/** The three cases one after the other. `managed` differs from `unmanaged` only by its links, and replaces it live. */
export async function runContention(
  cloud: ContentionCloud,
  ensembles: { readonly unmanaged: Ensemble; readonly managed: Ensemble },
  options: ContentionOptions,
  signal: AbortSignal,
): Promise<ContentionCase[]> {
  options.progress("links best effort, bulk transfer at rest");
  await cloud.up(ensembles.unmanaged, signal);
  const alone: ContentionCase = { name: "alone", responseMs: await httpLoad(cloud, options, signal) };
  options.progress("links best effort, bulk transfer running");
  const unmanaged = await underBulk(cloud, "unmanaged", options, signal);
  options.progress("links promised 600 and 40 Mbit/s, bulk transfer running");
  await cloud.up(ensembles.managed, signal);
  const managed = await underBulk(cloud, "managed", options, signal);
  return [alone, unmanaged, managed];
}

async function underBulk(
  cloud: ContentionCloud,
  name: ContentionCase["name"],
  options: ContentionOptions,
  signal: AbortSignal,
): Promise<ContentionCase> {
  const seconds = options.seconds + 2 * bulkHeadStartS;
  const bulk = cloud.exec(
    "bulk-source",
    ["iperf3", "-c", "bulk-sink", "-t", String(seconds), "-P", String(bulkStreams), "--json"],
    signal,
  );
  const responseMs = await httpLoad(cloud, options, signal, bulkHeadStartS);
  return { name, responseMs, bulkBps: iperfReceivedBps(checked("iperf3", await bulk)) };
}

/**
 * Requests at a steady rate over one kept connection, from inside the client appliance; response times in ms. More
 * connections would ask in step with each other and measure their own queue.
 */
async function httpLoad(
  cloud: ContentionCloud,
  { seconds, requestsPerSecond }: ContentionOptions,
  signal: AbortSignal,
  warmUpS = 1,
): Promise<number[]> {
  const log = "/tmp/responses.tsv";
  // h2load adds to the log of an earlier run.
  checked("rm", await cloud.exec("client", ["rm", "-f", log], signal));
  const options = `--h1 --clients 1 --rps ${requestsPerSecond} --duration ${seconds}`;
  const load = ["h2load", ...options.split(" "), "--warm-up-time", String(warmUpS), "--log-file", log];
  checked("h2load", await cloud.exec("client", [...load, "http://web:8080/page"], signal));
  return responseTimesMs(checked("cat", await cloud.exec("client", ["cat", log], signal)));
}

function checked(program: string, result: { exitCode: number; stdout: string; stderr: string }): string {
  if (result.exitCode === 0) return result.stdout;
  throw new ConsortError(
    "driver_failed",
    `Cannot run ${program}: exit code ${result.exitCode}: ${result.stderr.trim()}`,
  );
}

/** h2load's log: start in µs, HTTP status, µs until the end of the response; tab-separated. Failed requests are an error. */
export function responseTimesMs(log: string): number[] {
  const rows = log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t").map(Number));
  const failed = rows.filter(([, status]) => status !== 200).length;
  if (rows.length === 0 || failed > 0) {
    throw new ConsortError(
      "driver_failed",
      `Cannot measure responses: ${failed} of ${rows.length} requests failed`,
    );
  }
  return rows.map((row) => (row[2] ?? Number.NaN) / 1000);
}

/** What arrived at iperf3's receiver, from its JSON. */
export function iperfReceivedBps(json: string): number {
  const report = JSON.parse(json) as {
    end?: { sum_received?: { bits_per_second?: number } };
    error?: string;
  };
  const bps = report.end?.sum_received?.bits_per_second;
  if (bps === undefined)
    throw new ConsortError("driver_failed", `Cannot read iperf3's report: ${report.error ?? "no sum"}`);
  return bps;
}

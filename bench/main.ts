import { readdir } from "node:fs/promises";
import { parseArgs } from "node:util";
import { formatTable } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

/**
 * `npm run -s bench -- NAME [NAME…] [--case CASE]… [--json]`, `--list`. With `--json` standard output carries the array
 * of rows and nothing else; progress goes to standard error. `--case` runs those parts alone that a benchmark has under
 * this name. Exit codes: 0 all ran (whether or not aims were met: that is in the rows), 1 one failed to run, 2 no such
 * benchmark or case.
 */
const suffix = ".bench.ts";

async function names(): Promise<string[]> {
  const files = await readdir(import.meta.dirname);
  return files
    .filter((file) => file.endsWith(suffix))
    .map((file) => file.slice(0, -suffix.length))
    .sort();
}

async function load(name: string): Promise<Benchmark> {
  const module = (await import(`./${name}${suffix}`)) as { benchmark?: Benchmark };
  if (module.benchmark === undefined) throw new Error(`bench/${name}${suffix} does not export "benchmark"`);
  return module.benchmark;
}

async function list(known: readonly string[]): Promise<void> {
  const width = Math.max(0, ...known.map((name) => name.length));
  for (const name of known) {
    const { about, cases } = await load(name);
    console.log(`${name.padEnd(width)}  ${about}`);
    if (cases !== undefined) console.log(`${"".padEnd(width)}  --case ${cases.join(", ")}`);
  }
}

type Asked = { readonly names: readonly string[]; readonly cases: readonly string[]; readonly json: boolean };

async function runAll({ names: wanted, cases, json }: Asked, signal: AbortSignal): Promise<number> {
  const all: BenchRow[] = [];
  let failed = 0;
  for (const name of wanted) {
    try {
      const benchmark = await load(name);
      if (!json) console.log(`\n${benchmark.name}: ${benchmark.about}`);
      const progress = (line: string): void => console.error(`${name}: ${line}`);
      const asked = cases.length === 0 ? {} : { cases: new Set(cases) };
      const rows = await benchmark.run({ signal, progress, ...asked });
      all.push(...rows);
      if (!json) console.log(formatTable(rows));
    } catch (cause) {
      failed += 1;
      console.error(`Cannot run benchmark ${name}:`, cause);
      if (signal.aborted) break;
    }
  }
  if (json) console.log(JSON.stringify(all, undefined, 2));
  return failed === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      case: { type: "string", multiple: true, default: [] },
    },
  });
  const known = await names();
  if (values.list) {
    await list(known);
    return 0;
  }
  const unknown = positionals.filter((name) => !known.includes(name));
  if (positionals.length === 0 || unknown.length > 0) {
    const what = unknown.length > 0 ? `no benchmark called ${unknown.join(", ")}` : "no benchmark named";
    console.error(`Cannot run benchmarks: ${what}. There are: ${known.join(", ")}`);
    return 2;
  }
  for (const name of positionals) {
    const { cases = [] } = await load(name);
    const other = values.case.find((one) => !cases.includes(one));
    if (other === undefined) continue;
    const there = cases.length === 0 ? "it has none" : `there are: ${cases.join(", ")}`;
    console.error(`Cannot run benchmark ${name}: no case of it is called ${other}, ${there}`);
    return 2;
  }
  const stop = new AbortController();
  // The second Ctrl-C ends the process the ordinary way, should a benchmark not heed the first.
  process.once("SIGINT", () => stop.abort(new Error("interrupted")));
  process.once("SIGTERM", () => stop.abort(new Error("terminated")));
  return runAll({ names: positionals, cases: values.case, json: values.json }, stop.signal);
}

process.exitCode = await main();

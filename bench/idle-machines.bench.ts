import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { mebibytes, millis } from "#base/units.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { HostReport } from "#protocol/host-report.ts";
import { hostAddress, topics } from "#protocol/topics.ts";
import { cpuSeconds } from "./cpu-seconds.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { oneHost } from "./one-host.ts";
import type { OneHost } from "./one-host.ts";

/**
 * Machines that do nothing, all of them leased, on one host whose cluster manager we are. Everything that is spent on
 * them counts: the host manager with its helper programs, and what goes on in the machines themselves, where nothing is
 * but their supervisors, woken about their lease, and a command that sleeps.
 */
const counts = [200, 1000];
const windowMs = millis(20_000);
const settleMs = millis(8_000);
const windows = 3;
const windowsMax = 8;
/** Of the reports that are due in a window; with fewer, the manager was kept from its work. */
const reportsShareMin = 0.8;
const aimPercent = 1;
const clock = systemClock();
const cgroups = systemCgroups(clock);

export const benchmark: Benchmark = {
  name: "idle-machines",
  about: "CPU and memory of 200 and of 1,000 idle machines on one host, three times 20 s",
  run: async (options) => {
    const rows: BenchRow[] = [];
    for (const count of counts) rows.push(...(await measure(count, options)));
    return rows;
  },
};

async function measure(count: number, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  await using undo = new AsyncDisposableStack();
  const root = mkdtempSync(join(tmpdir(), "consort-bench-"));
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  const host = await oneHost("benchidlemany", root, undo, signal);
  const began = clock.monotonic();
  await have(host, count, 1, signal);
  const upSeconds = (clock.monotonic() - began) / 1000;
  progress(`${count} machines run after ${upSeconds.toFixed(1)} s`);
  await clock.sleep(settleMs, signal);
  const { manager, machines } = await uses(host, count, { signal, progress });
  const memory = machineKib(host);
  const resident = residentMib(host.pid);
  // By those who made them: a lab would have to kill them all.
  await have(host, 0, 2, signal);
  const all = manager.map((used, index) => used + (machines[index] ?? 0));
  const of = `${count} idle machines`;
  const percent = { unit: "%", reference: "-" } as const;
  const figures = range(all);
  return [
    {
      case: of,
      metric: "CPU of all that serves them, of one core",
      ...percent,
      aim: `<= ${aimPercent}`,
      ...figures,
      ok: figures.value <= aimPercent,
    },
    told(of, "of it, host manager and its helper programs", "%", manager),
    told(of, "of it, supervisors", "%", machines),
    told(
      of,
      "memory of one machine: supervisor and command, what is shared counted in part",
      "KiB",
      memory.shared,
    ),
    told(of, "memory of one machine, as charged to its control group", "KiB", memory.charged),
    told(of, "resident set of the host manager", "MiB", [resident]),
    told(of, "plan handed to the host manager → all run", "s", [upSeconds]),
  ];
}

type Uses = { readonly manager: number[]; readonly machines: number[] };

/** Percent of a core in each window. One in which the machine was too busy to renew the lease in time does not count. */
async function uses(host: OneHost, count: number, { signal, progress }: BenchOptions): Promise<Uses> {
  const manager: number[] = [];
  const machines: number[] = [];
  for (let tries = 0; manager.length < windows && tries < windowsMax; tries += 1) {
    const before = { at: clock.monotonic(), manager: managerSeconds(host), machines: machinesSeconds(host) };
    const watch = new AbortController();
    let lapsed = false;
    let reports = 0;
    const isLapsed = ({ appliances }: HostReport): boolean => {
      reports += 1;
      return appliances.some(({ state }) => state !== "running");
    };
    const lapse = host.until(isLapsed, watch.signal).then(
      () => (lapsed = true),
      () => {},
    );
    await clock.sleep(windowMs, signal);
    watch.abort();
    await lapse;
    lapsed ||= reports < (reportsShareMin * windowMs) / limits.heartbeatMs;
    const seconds = (clock.monotonic() - before.at) / 1000;
    const used = [managerSeconds(host) - before.manager, machinesSeconds(host) - before.machines];
    const [ofManager = 0, ofMachines = 0] = used.map((one) => (100 * one) / seconds);
    progress(
      `${count} machines: ${ofManager.toFixed(2)} % and ${ofMachines.toFixed(2)} %${lapsed ? ", not counted" : ""}`,
    );
    if (lapsed) continue;
    manager.push(ofManager);
    machines.push(ofMachines);
  }
  if (manager.length === 0)
    throw new Error("Cannot measure idle machines: this one is too busy to renew their lease");
  return { manager, machines };
}

const told = (of: string, metric: string, unit: string, values: readonly number[]): BenchRow => ({
  case: of,
  metric,
  unit,
  reference: "-",
  aim: "-",
  ...range(values),
  ok: true,
});

/** Resolves when the host has them, and no others, and all of them run. */
async function have(host: OneHost, count: number, revision: number, signal: AbortSignal): Promise<void> {
  const plan: HostPlan = {
    host: host.config.host,
    epoch: 1,
    revision,
    appliances: Array.from({ length: count }, (_, index) => idle(index)),
    segments: [],
    shapedPairs: [],
    tunnels: [],
  };
  const there = host.until(
    ({ appliances }) => appliances.length === count && appliances.every(({ state }) => state === "running"),
    signal,
  );
  await Promise.all([there, host.bus.request(hostAddress(host.config.host), topics.plan, plan, signal)]);
}

const idle = (index: number): AppliancePlan => ({
  id: applianceId(ensembleName("idle"), applianceName(`one-${index + 1}`)),
  kind: "task",
  generation: "first",
  command: ["sleep", "infinity"],
  env: {},
  files: [],
  memoryBytes: mebibytes(16),
  restart: { when: "always", backoffMsMin: millis(100), backoffMsMax: millis(1000) },
  stopGraceMs: millis(0),
  interfaces: [],
  leased: true,
});

/** With its helper programs, those that live and those that have ended. */
function managerSeconds({ pid }: OneHost): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean);
  return [pid, ...children.map(Number)].reduce((sum, one) => sum + cpuSeconds(one), 0);
}

const slotNames = ({ config }: OneHost): string[] =>
  cgroups
    .open(config.cgroupParent)
    .children()
    .filter((name) => name.startsWith("task-"));

/** By the kernel's own account of their control groups: supervisors are in these, wherever they are limited. */
function machinesSeconds(host: OneHost): number {
  const usedUs = slotNames(host).map(
    (name) => cgroups.open(`${host.config.cgroupParent}/${name}`).usage().cpuUs,
  );
  return usedUs.reduce((sum, one) => sum + one, 0) / 1e6;
}

/** Of some of them. */
function machineKib(host: OneHost): { shared: number[]; charged: number[] } {
  const some = slotNames(host)
    .slice(0, 20)
    .map((name) => `${host.config.cgroupParent}/${name}`);
  const tree = machineLayout().v1.memory ?? machineLayout().v2 ?? "";
  const pidsIn = (path: string): string[] => {
    const own = readFileSync(join(tree, path, "cgroup.procs"), "latin1")
      .split("\n")
      .filter(Boolean);
    const below = readdirSync(join(tree, path), { withFileTypes: true }).filter((one) => one.isDirectory());
    return [...own, ...below.flatMap((one) => pidsIn(`${path}/${one.name}`))];
  };
  const proportional = (pid: string): number =>
    Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1]);
  return {
    shared: some.map((path) => pidsIn(path).reduce((sum, pid) => sum + proportional(pid), 0)),
    charged: some.map((path) => cgroups.open(path).usage().memoryBytes / 1024),
  };
}

const residentMib = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;

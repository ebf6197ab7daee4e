import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { milliCpu } from "#base/units.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { Event } from "#protocol/http/status.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { plainTopology } from "./machine.ts";

const lab = "testadapt";
const giveUpMs = 180_000;
const busy = (name: string): string => `sh -c "echo $$ > /tmp/pid; while :; do :; done # ${lab}-${name}"`;

/** Two loops that take all they are given, on one host that has half a processor. */
const adapting = `ensemble: adapt
appliances:
  web: {command: '${busy("web")}', cpu: 8ms/40ms, memory: 32MiB, enforcement: bandwidth, hosts: [s1h1]}
  bulk: {command: '${busy("bulk")}', cpu: {period: 40ms, share: 20%}, enforcement: bandwidth, hosts: [s1h1]}
monitors:
  level: {appliance: web, script: cat /tmp/level, every: 50ms}
strategies:
  more: {when: level > 10 for 200ms, then: move 2ms from bulk to web, cooldown: 1h}
`;

/** In time by the period that ends first, not by the shorter period. */
const both = `ensemble: both
appliances:
  short: {command: '${busy("short")}', cpu: 18ms/40ms, memory: 32MiB, enforcement: dispatch-table, hosts: [s1h2]}
  long: {command: '${busy("long")}', cpu: 26ms/60ms, memory: 32MiB, enforcement: dispatch-table, hosts: [s1h2]}
`;

/** The second host has a whole processor, and fills its dispatch tables by the period that ends first. */
function topology(): Topology {
  const plain = plainTopology({ sites: 1, hostsPerSite: 2 });
  const [first, second] = plain.hosts;
  assert.ok(first !== undefined && second !== undefined);
  const policy = "earliest-deadline-first" as const;
  return { ...plain, hosts: [first, { ...second, cpuMilli: milliCpu(1000), dispatch: { policy } }] };
}

function ensemble(text = adapting): Ensemble {
  const parsed = parseEnsemble(text, { file: "adapt.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

/** The loop of that name, as this machine sees it. */
function processOf(name: string): { pid: string; startTime: string; cpuTicks: number } {
  for (const pid of readdirSync("/proc").filter((one) => /^\d+$/.test(one))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!command.startsWith("sh\0") || !command.includes(`# ${lab}-${name}\0`)) continue;
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      return { pid, startTime: fields[19] ?? "", cpuTicks: Number(fields[11]) + Number(fields[12]) };
    } catch {
      // Ended while it was looked at.
    }
  }
  return assert.fail(`no process of ${name}`);
}

/** Processors the kernel lets its group have, by the nearest quota above it. */
function quotaOf(name: string): number {
  const groups = readFileSync(`/proc/${processOf(name).pid}/cgroup`, "utf8").split("\n");
  for (const line of groups) {
    const [, controllers = "", path = ""] = line.split(":");
    const tree = controllers === "" ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${controllers}`;
    for (let group = join(tree, path); group.startsWith(`${tree}/`); group = dirname(group)) {
      const quota = readQuota(group);
      if (quota !== undefined) return quota;
    }
  }
  return assert.fail(`no quota above ${name}`);
}

function readQuota(group: string): number | undefined {
  const read = (file: string): string | undefined =>
    existsSync(`${group}/${file}`) ? readFileSync(`${group}/${file}`, "utf8").trim() : undefined;
  const [quota, period] = read("cpu.max")?.split(" ") ?? [
    read("cpu.cfs_quota_us"),
    read("cpu.cfs_period_us"),
  ];
  if (quota === undefined || quota === "max" || quota === "-1") return undefined;
  return Number(quota) / Number(period);
}

const state = async (rig: Rig, name: string, signal: AbortSignal): Promise<string | undefined> =>
  (await rig.status("adapt", signal)).appliances.find((one) => one.name === name)?.state;

/** As a user types it. */
async function consort(rig: Rig, ...args: string[]): Promise<string> {
  const tokenFile = join(rig.stateDir, "token");
  const at = ["--api", rig.apiUrl(), "--token-file", tokenFile];
  const { stdout } = await promisify(execFile)("bin/consort", [...args, ...at]);
  return stdout;
}

test("what runs is resized, held and adapted by its strategy, in the same process all along", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  {
    await using stack = new AsyncDisposableStack();
    const rig = await startRig(lab, topology(), signal);
    stack.defer(() => rig.close());
    await rig.up(ensemble(), signal);
    await eventually(
      "both loops run",
      signal,
      () => processOf("web").cpuTicks + processOf("bulk").cpuTicks > 0,
    );
    const [web, bulk] = [processOf("web"), processOf("bulk")];
    const stillTheSame = (): void => {
      assert.deepEqual([processOf("web").startTime, processOf("web").pid], [web.startTime, web.pid]);
      assert.deepEqual([processOf("bulk").startTime, processOf("bulk").pid], [bulk.startTime, bulk.pid]);
    };

    await t.test("a resize is in force when the command ends", async () => {
      assert.equal(quotaOf("web"), 0.2);
      const told = await consort(rig, "resize", "adapt/web", "--cpu", "10ms/40ms", "--memory", "48MiB");
      assert.match(told, /^adapt is resized: 1 of 1 in force/);
      assert.equal(quotaOf("web"), 0.25);
      stillTheSame();
    });

    await t.test("a move changes both", async () => {
      await consort(rig, "resize", "adapt/web", "--cpu", "2ms", "--from", "adapt/bulk");
      assert.deepEqual([quotaOf("web"), quotaOf("bulk")], [0.3, 0.15]);
      stillTheSame();
    });

    await t.test("what does not fit is refused with what is free, and nothing changes", async () => {
      const refused = consort(rig, "resize", "adapt/web", "--cpu", "16ms/40ms");
      await assert.rejects(refused, (error: { code: number; stderr: string }) => {
        assert.equal(error.code, 3);
        assert.match(
          error.stderr,
          /cannot reserve CPU on s1h1: it has 50%, wanted 55% for adapt\/web, adapt\/bulk/,
        );
        return true;
      });
      assert.deepEqual([quotaOf("web"), quotaOf("bulk")], [0.3, 0.15]);
    });

    await t.test("what is held does not run, and keeps what is reserved", async () => {
      await consort(rig, "suspend", "adapt/bulk");
      assert.equal(await state(rig, "bulk", signal), "suspended");
      const at = processOf("bulk").cpuTicks;
      const webAt = processOf("web").cpuTicks;
      await eventually("the other runs on", signal, () => processOf("web").cpuTicks > webAt + 10);
      assert.equal(processOf("bulk").cpuTicks, at);
      assert.equal((await rig.hosts(signal)).find(({ id }) => id === "s1h1")?.cpuReservedMilli, 450);
      await consort(rig, "resume", "adapt");
      await eventually("it goes on", signal, () => processOf("bulk").cpuTicks > at);
      stillTheSame();
    });

    await t.test("a strategy moves by itself when its metric says so, and tells why", async () => {
      await rig.exec("adapt", "web", ["sh", "-c", "echo 12 > /tmp/level"], signal);
      await eventually("it has acted", signal, async () => {
        const { strategies } = await rig.status("adapt", signal);
        return strategies?.[0]?.acted === 1;
      });
      await eventually("the host keeps it", signal, () => quotaOf("web") === 0.35 && quotaOf("bulk") === 0.1);
      stillTheSame();
      const event = await acted(rig, signal);
      assert.match(
        event.message,
        /^level was above 10 for .*, 12 now: move 2ms from bulk to web \(bulk 6ms of 40ms → 4ms/,
      );
    });

    await t.test("a host admits by the rule its topology gives it", async () => {
      await rig.up(ensemble(both), signal);
      await eventually(
        "both take turns",
        signal,
        () => processOf("short").cpuTicks > 5 && processOf("long").cpuTicks > 5,
      );
      await rig.down("both", signal);
    });

    await t.test("the same file keeps what was adjusted, and nothing is left afterwards", async () => {
      await rig.up(ensemble(), signal);
      assert.equal(quotaOf("web"), 0.35);
      stillTheSame();
      await rig.down("adapt", signal);
    });
  }
  assert.deepEqual(await machineFacts(lab), before);
});

async function acted(rig: Rig, signal: AbortSignal): Promise<Event> {
  const read = new AbortController();
  const lines = rig.client().lines("GET", "/v1/events?after=0", AbortSignal.any([signal, read.signal]));
  for await (const line of lines) {
    if (!line.startsWith("data: ")) continue;
    const event = JSON.parse(line.slice(6)) as Event;
    if (event.kind === "strategy.acted") return event;
  }
  return assert.fail("the events have ended");
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { mebibytes, millis } from "#base/units.ts";
import { sampleVm } from "#model/sample-vm.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { QemuGuestMeter } from "./guest-meter.ts";

const { signal } = new AbortController();
const untold = 2 ** 64;
const { vm: spec } = sampleVm("db");

type Machine = {
  readonly vm: Pick<RunningVm, "id" | "qmp" | "plan">;
  readonly asked: string[];
  /** What it answers, by command or property. */
  readonly answers: Record<string, unknown>;
};

function machine(name: string, answers: Record<string, unknown> = {}): Machine {
  const asked: string[] = [];
  const all: Record<string, unknown> = {
    "query-blockstats": [
      { stats: { rd_bytes: 1000, wr_bytes: 10 } },
      { stats: { rd_bytes: 500, wr_bytes: 0 } },
    ],
    "guest-stats-polling-interval": 0,
    "guest-stats": {
      "last-update": 100,
      stats: { "stat-total-memory": mebibytes(110), "stat-available-memory": mebibytes(60) },
    },
    ...answers,
  };
  const qmp: Qmp = {
    execute: (command, args) => {
      asked.push(command === "qom-set" ? `set ${String(args["value"])}` : command);
      const answer = all[command === "qom-get" ? String(args["property"]) : command] ?? {};
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    onEvent: () => () => {},
    closed: signal,
    close: () => {},
  };
  const id = applianceId(ensembleName("shop"), applianceName(name));
  const plan = { vm: { memoryBytesMax: spec?.memoryBytesMax } } as AppliancePlan;
  return { vm: { id, qmp, plan }, asked, answers: all };
}

function meterOf(...machines: readonly Machine[]) {
  const running = new Set(machines);
  const clock = new ManualClock(millis(101_000));
  const meter = new QemuGuestMeter({ running: () => [...running].map(({ vm }) => vm), clock, signal });
  /** What is told once a look that is due now is over. */
  const look = async () => {
    meter.read();
    for (let turns = 0; turns < 20; turns += 1) await Promise.resolve();
    return meter.read();
  };
  return { running, clock, look };
}

test("a guest's disks are told together, and its memory as it tells itself", async () => {
  const { look } = meterOf(machine("db"));
  assert.deepEqual(await look(), {
    "shop/db": {
      readBytes: 1500,
      writtenBytes: 10,
      memoryTotalBytes: mebibytes(110),
      memoryAvailableBytes: mebibytes(60),
    },
  });
});

test("a guest is asked to tell of its memory unless it is asked already, and all are asked no more than is due", async () => {
  const [idle, shrinking] = [machine("db"), machine("web", { "guest-stats-polling-interval": 1 })];
  const { look, clock } = meterOf(idle, shrinking);
  await look();
  assert.ok(idle.asked.includes("set 5"));
  assert.ok(!shrinking.asked.some((one) => one.startsWith("set")));
  const asked = idle.asked.length;
  clock.advance(millis(4_999));
  await look();
  assert.equal(idle.asked.length, asked);
  clock.advance(millis(1));
  await look();
  assert.ok(idle.asked.length > asked);
});

test("what a guest did not tell, told long ago, or cannot be is not told", async () => {
  const told = (stats: Record<string, number>, at = 100) => ({
    "guest-stats": { "last-update": at, stats },
  });
  const memory = { "stat-total-memory": mebibytes(110), "stat-available-memory": mebibytes(60) };
  const silent = machine("silent", told({ "stat-total-memory": untold, "stat-available-memory": untold }));
  const old = machine("old", told(memory, 70));
  const lies = machine("lies", told({ "stat-total-memory": mebibytes(4096), "stat-available-memory": -1 }));
  const { look } = meterOf(silent, old, lies);
  const disks = { readBytes: 1500, writtenBytes: 10 };
  assert.deepEqual(await look(), { "shop/silent": disks, "shop/old": disks, "shop/lies": disks });
});

test("one that does not answer keeps nobody waiting, and is not known any more", async () => {
  const [db, web] = [machine("db"), machine("web")];
  const { look, clock } = meterOf(db, web);
  await look();
  db.answers["query-blockstats"] = new Error("no answer");
  clock.advance(millis(5_000));
  assert.deepEqual(Object.keys(await look()), ["shop/web"]);
  web.answers["query-blockstats"] = Promise.withResolvers<never>().promise;
  db.answers["query-blockstats"] = [];
  clock.advance(millis(5_000));
  assert.deepEqual(Object.keys(await look()).toSorted(), ["shop/db", "shop/web"]);
  const asked = web.asked.length;
  clock.advance(millis(5_000));
  await look();
  assert.equal(web.asked.length, asked, "it is asked again only when it has answered");
});

test("a guest that ended is not told of, and one that began anew only when it was asked", async () => {
  const db = machine("db");
  const { look, running, clock } = meterOf(db);
  await look();
  running.delete(db);
  clock.advance(millis(5_000));
  assert.deepEqual(await look(), {});
  const anew = machine("db", { "query-blockstats": [{ stats: { rd_bytes: 7, wr_bytes: 0 } }] });
  running.add(anew);
  clock.advance(millis(5_000));
  assert.equal(Object.values(await look())[0]?.readBytes, 7);
});

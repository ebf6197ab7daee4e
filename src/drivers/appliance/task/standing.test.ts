import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { parseJournal } from "#drivers/appliance/task/journal.ts";
import type { TaskRecord } from "#drivers/appliance/task/record.ts";
import { endMessage, endOf, ranMs, stateOf } from "#drivers/appliance/task/standing.ts";

const now = millis(5_000);
const record: TaskRecord = {
  plan: {
    id: applianceId(ensembleName("shop"), applianceName("web")),
    kind: "task",
    generation: "1",
    command: ["true"],
    env: {},
    files: [],
    restart: { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(1) },
    stopGraceMs: millis(1),
    interfaces: [],
  },
  phase: "running",
  run: 2,
  restarts: 0,
  oomKills: 0,
  suspended: false,
};
const entries = parseJournal("2\tstarting\t0\t1000\t\n2\trunning\t0\t1001\t\n");
const last = entries.at(-1);

test("parseJournal() reads whole lines only, and only words it knows", () => {
  assert.equal(parseJournal("1\trunning\t0\t10\t\n1\tended\t0\t1").length, 1);
  assert.deepEqual(parseJournal("1\tfailed\t127\t10\trun a%25b\n"), [
    { run: 1, what: "failed", code: 127, at: 10, message: "run a%b" },
  ]);
  assert.deepEqual(parseJournal("\0\0\0\nnonsense\n"), []);
});

test("stateOf() tells starting, running, suspended and what comes after", () => {
  assert.equal(stateOf({ ...record, phase: "created" }, undefined, true), "created");
  assert.equal(stateOf(record, undefined, true), "starting");
  assert.equal(stateOf(record, last, true), "running");
  assert.equal(stateOf({ ...record, suspended: true }, last, true), "suspended");
  assert.equal(stateOf({ ...record, phase: "stopped" }, last, true), "stopping");
  assert.equal(stateOf({ ...record, phase: "stopped" }, last, false), "stopped");
  assert.equal(stateOf({ ...record, phase: "destroying" }, last, true), "stopping");
  const end = { run: 2, code: 0, at: now };
  assert.equal(stateOf({ ...record, end }, last, true), "exited");
  assert.equal(stateOf({ ...record, end: { ...end, code: 1 } }, last, true), "failed");
  assert.equal(stateOf({ ...record, end: { ...end, restartAt: now } }, last, true), "backoff");
  assert.equal(stateOf({ ...record, end: { ...end, run: 1 } }, last, true), "running");
});

test("endOf() takes the supervisor's word, else its death", () => {
  assert.equal(endOf(entries, 2, true, now), undefined);
  const ended = [...entries, ...parseJournal("2\tended\t3\t2000\t\n")];
  assert.deepEqual(endOf(ended, 2, true, now), { code: 3, at: 2000 });
  assert.equal(endOf(ended, 3, true, now), undefined);
  assert.equal(endOf(entries, 2, false, now)?.code, 137);
  const broken = parseJournal("0\tbroken\t255\t900\tmount /proc: No such device\n");
  assert.match(endOf(broken, 1, false, now)?.message ?? "", /set up its machine: mount \/proc/);
});

test("endMessage() explains what is not a good end", () => {
  assert.equal(endMessage(0, false, undefined), undefined);
  assert.equal(endMessage(4, false, undefined), "Its command ended with exit code 4");
  assert.equal(endMessage(139, false, undefined), "Its command was killed by SIGSEGV");
  assert.equal(endMessage(137, true, mebibytes(64)), "Out of memory: its limit is 64MiB");
  assert.equal(endMessage(137, true, undefined), "Out of memory: its host's is reached");
});

test("ranMs() counts from when the program took over", () => {
  assert.equal(ranMs(entries, 2, millis(1_501)), 500);
  assert.equal(ranMs(entries, 1, now), 0);
});

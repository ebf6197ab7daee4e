import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { silentLog } from "#drivers/system/log.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { GuestState } from "../guest-state.ts";
import type { MachineRecord } from "../record.ts";
import type { RunningVm } from "../vm.ts";
import { MachineResizes } from "./machine-resizes.ts";

const db = applianceId(ensembleName("shop"), applianceName("db"));
const isRunning = { status: "running" } as unknown as GuestState;

/** A machine whose slot is held, so that its guest cannot do its part, and what was told of it. */
function held(
  running: () => RunningVm = () => ({}) as unknown as RunningVm,
  move?: { readonly side: "leaving" },
  vcpusMax = 1,
): {
  machine: Parameters<MachineResizes["settle"]>[0];
  resizes: MachineResizes;
  told: () => number;
  pass: (ms: number) => void;
} {
  let [changes, nowMs] = [0, 0];
  const plan = {
    id: db,
    memoryBytes: mebibytes(128),
    vm: { vcpus: 1, vcpusMax, ...(move === undefined ? {} : { move }) },
  } as unknown as AppliancePlan;
  const machine = {
    id: db,
    record: { plan } as unknown as MachineRecord,
    save: () => {},
    note: () => {},
    running,
    guest: isRunning,
    closing: new AbortController().signal,
  };
  const resizes = new MachineResizes({
    machine: () => machine,
    slotState: () => "suspended",
    adaptSlots: () => Promise.resolve(),
    onChange: () => changes++,
    clock: {
      monotonic: () => millis(nowMs),
      now: () => millis(0),
      timer: () => () => {},
      sleep: () => Promise.resolve(),
    },
    log: silentLog,
  });
  return { machine, resizes, told: () => changes, pass: (ms) => (nowMs += ms) };
}

const smaller = new Map([[db, { memoryBytes: mebibytes(64) }]]);
const signal = new AbortController().signal;

test("a size that a guest refused is told of once, so that nobody is woken to ask again at once and for ever", async () => {
  const { resizes, told } = held();
  for (let asked = 0; asked < 5; asked++) {
    await assert.rejects(resizes.adapt(smaller, signal), /Cannot resize shop\/db: its guest is held/);
  }
  assert.equal(told(), 1);
});

test("a size that a guest refused is asked of it again after a minute", async () => {
  const { resizes, told, pass } = held();
  await assert.rejects(resizes.adapt(smaller, signal));
  pass(60_001);
  await assert.rejects(resizes.adapt(smaller, signal));
  assert.equal(told(), 2);
});

test("a QEMU that ended while its guest was asked is no refusal: the next one is asked at once", async () => {
  const lost = new ConsortError("unavailable", "Cannot execute balloon: the line is lost");
  const { resizes, told } = held(() => {
    throw lost;
  });
  for (let asked = 0; asked < 2; asked++) await assert.rejects(resizes.adapt(smaller, signal), lost);
  assert.equal(told(), 2);
});

test("a machine that is leaving for another host is asked for another size there, not before", async () => {
  const { resizes } = held(undefined, { side: "leaving" });
  await assert.rejects(resizes.adapt(smaller, signal), {
    code: "unavailable",
    message: /yet: it moves to another host/,
  });
});

test("a guest that came back with more processors than it was left is asked until it has turned them off", async () => {
  let [silent, online] = [2, 2];
  const agent = {
    execute: (command: string, args: { vcpus?: readonly unknown[] }) => {
      if (silent > 0) {
        silent -= 1;
        return Promise.reject(new ConsortError("unavailable", "it does not answer"));
      }
      online -= args.vcpus?.length ?? 0;
      const all = [0, 1].map((number) => ({ "logical-id": number, online: number < online }));
      return Promise.resolve(command === "guest-get-vcpus" ? all : 1);
    },
  };
  const qmp = {
    execute: () => Promise.resolve([0, 1].map((number) => ({ "cpu-index": number }))),
  };
  const plan = { vm: { base: { features: ["agent"] } } };
  const vm = { id: db, plan, agent, qmp } as unknown as RunningVm;
  const { resizes, machine } = held(() => vm, undefined, 2);
  await resizes.settle(machine);
  assert.deepEqual([silent, online], [0, 1]);
});

test("a machine that came with the memory of a larger one is told of as what it is, and its slot has what that takes", async () => {
  const came = mebibytes(256);
  for (const [wanted, known] of [
    [mebibytes(128), came],
    [came, came],
  ] as const) {
    const answers: Readonly<Record<string, unknown>> = {
      // With the little more that every QEMU is started with.
      "query-memory-size-summary": { "base-memory": came + 8192 },
      "query-balloon": { actual: came + 8192 },
      "query-memory-devices": [],
    };
    const qmp = { execute: (command: string) => Promise.resolve(answers[command]) };
    let plan = { id: db, memoryBytes: wanted, vm: { vcpus: 1, vcpusMax: 1 } } as unknown as AppliancePlan;
    const slots: number[] = [];
    const machine = {
      id: db,
      get record() {
        return { plan } as unknown as MachineRecord;
      },
      save: () => {},
      note: (change: Partial<MachineRecord>) => void (plan = change.plan ?? plan),
      running: () => ({ qmp }) as unknown as RunningVm,
      guest: isRunning,
      closing: signal,
    };
    const resizes = new MachineResizes({
      machine: () => machine,
      slotState: () => "running",
      adaptSlots: async (changes) => void slots.push(changes.get(db)?.memoryBytes ?? 0),
      onChange() {},
      clock: {
        monotonic: () => millis(0),
        now: () => millis(0),
        timer: () => () => {},
        sleep: async () => {},
      },
      log: silentLog,
    });
    await resizes.measure(machine);
    assert.equal(plan.memoryBytes, known);
    assert.deepEqual(slots, [hostMemoryOf({ memoryBytes: known, vcpusMax: 1 })]);
  }
});

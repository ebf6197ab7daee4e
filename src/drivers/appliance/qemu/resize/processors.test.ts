import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { RunningVm } from "../vm.ts";
import { resizeProcessors, settleProcessors } from "./processors.ts";

const id = applianceId(ensembleName("shop"), applianceName("db"));
const { signal } = new AbortController();
let nowMs = 0;
const clock = {
  monotonic: () => millis(nowMs),
  now: () => millis(nowMs),
  timer: () => () => {},
  sleep: (ms: number) => {
    nowMs += ms;
    return Promise.resolve();
  },
};

type Machine = {
  readonly vm: Pick<RunningVm, "qmp" | "agent" | "id" | "plan">;
  /** Commands that change what QEMU has. */
  readonly changes: string[];
  /** Of the guest's processors. */
  readonly online: boolean[];
};

/** `there` of `most` processors are plugged in, and its guest uses all of those; an obstinate one changes nothing. */
function machine(
  most: number,
  there: number,
  {
    kvm = false,
    agent = true,
    obstinate = false,
  }: { kvm?: boolean; agent?: boolean; obstinate?: boolean } = {},
): Machine {
  const changes: string[] = [];
  const online = Array.from({ length: there }, () => true);
  const plugged = Array.from({ length: most }, (_, index) => index < there);
  const answers: Record<string, (args: Readonly<Record<string, unknown>>) => unknown> = {
    "query-kvm": () => ({ enabled: kvm, present: true }),
    "query-cpus-fast": () => plugged.filter(Boolean).map((_, index) => ({ "cpu-index": index })),
    "query-hotpluggable-cpus": () =>
      plugged.map((isThere, index) => ({
        type: "cpu",
        props: { "core-id": index },
        ...(isThere ? { "qom-path": `/machine/peripheral/cpu-0-${index}-0` } : {}),
      })),
    device_add: (args) => {
      plugged[Number(args["core-id"])] = true;
      online.push(false);
    },
    device_del: () => {
      plugged[plugged.lastIndexOf(true)] = false;
      online.pop();
    },
    "guest-get-vcpus": () => online.map((isOn, index) => ({ "logical-id": index, online: isOn })),
    "guest-set-vcpus": ({ vcpus }) => {
      if (obstinate) return;
      for (const one of vcpus as readonly { "logical-id": number; online: boolean }[])
        online[one["logical-id"]] = one.online;
    },
  };
  const execute = (command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> => {
    if (command.startsWith("device_")) changes.push(command);
    return Promise.resolve(answers[command]?.(args) ?? {});
  };
  const plan = { vm: { base: { features: agent ? ["agent"] : [] } } } as unknown as AppliancePlan;
  const vm = { id, plan, qmp: { execute }, agent: { execute } } as unknown as Machine["vm"];
  return { vm, changes, online };
}

test("an emulated machine's guest turns processors on and off, and none is plugged in or out", async () => {
  const { vm, changes, online } = machine(4, 4);
  await resizeProcessors(vm, { from: 4, to: 1 }, clock, signal);
  assert.deepEqual(online, [true, false, false, false]);
  await resizeProcessors(vm, { from: 1, to: 3 }, clock, signal);
  assert.deepEqual(online, [true, true, true, false]);
  assert.deepEqual(changes, []);
});

test("an accelerated machine is given processors, and gives them back", async () => {
  const { vm, changes, online } = machine(4, 1, { kvm: true });
  await resizeProcessors(vm, { from: 1, to: 3 }, clock, signal);
  assert.deepEqual(
    [online, changes],
    [
      [true, true, true],
      ["device_add", "device_add"],
    ],
  );
  await resizeProcessors(vm, { from: 3, to: 2 }, clock, signal);
  assert.deepEqual([online, changes.at(-1)], [[true, true], "device_del"]);
});

test("an emulated machine that began with too few, or whose guest nobody can ask, is refused", async () => {
  const small = machine(4, 1);
  await assert.rejects(
    resizeProcessors(small.vm, { from: 1, to: 2 }, clock, signal),
    /began with 1 processors/,
  );
  const mute = machine(4, 4, { agent: false });
  await assert.rejects(resizeProcessors(mute.vm, { from: 4, to: 2 }, clock, signal), /has no agent/);
  const deaf = machine(4, 4, { obstinate: true });
  await assert.rejects(
    resizeProcessors(deaf.vm, { from: 4, to: 2 }, clock, signal),
    /does not use 2 processors/,
  );
  assert.deepEqual([small.changes, mute.changes, deaf.changes], [[], [], []]);
});

test("a guest that begins anew uses as many processors as its machine was left, however many there are", async () => {
  const { vm, online } = machine(4, 4);
  await settleProcessors(vm, 2, clock, signal);
  assert.deepEqual(online, [true, true, false, false]);
  const restored = machine(4, 1, { kvm: true });
  await settleProcessors(restored.vm, 2, clock, signal);
  assert.deepEqual(restored.online, [true, true]);
});

test("a guest whose memory is of a smaller machine uses all that its machine has", async () => {
  const { vm, online } = machine(2, 2);
  online[1] = false;
  await settleProcessors(vm, 2, clock, signal);
  assert.deepEqual(online, [true, true]);
});

import assert from "node:assert/strict";
import test from "node:test";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { goOn, goOnAfterCutOff } from "./take.ts";

/** A QEMU that tells these states one after the other, and refuses to go on before all was finished, as QEMU does. */
function qemu(...states: string[]): { readonly qmp: Pick<Qmp, "execute">; readonly asked: string[] } {
  const asked: string[] = [];
  const execute = async (command: string): Promise<unknown> => {
    if (command !== "query-status") asked.push(command);
    if (command === "cont" && states[0] === "finish-migrate") {
      throw new Error("Migration is not finalized yet");
    }
    return command === "query-status" ? { status: states.length > 1 ? states.shift() : states[0] } : {};
  };
  return { qmp: { execute }, asked };
}

const clock: Clock = {
  now: () => millis(0),
  monotonic: () => millis(0),
  sleep: () => Promise.resolve(),
  timer: () => () => {},
};

void test("a machine is let go on when QEMU has finished with what it sent, not as soon as all is sent", async () => {
  const { qmp, asked } = qemu("finish-migrate", "finish-migrate", "postmigrate");
  await goOn(qmp, true, clock);
  assert.deepEqual(asked, ["migrate_cancel", "cont"]);
});

void test("one that was not stopped is not told to go on", async () => {
  const { qmp, asked } = qemu("running");
  await goOn(qmp, false, clock);
  assert.deepEqual(asked, ["migrate_cancel"]);
});

void test("a machine whose manager died right after all was sent goes on, too", async () => {
  const { qmp, asked } = qemu("finish-migrate", "postmigrate");
  await goOnAfterCutOff({ qmp } as unknown as RunningVm, clock, new AbortController().signal);
  assert.deepEqual(asked, ["cont"]);
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { mebibytes, millis } from "#base/units.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { MachineRecord } from "../record.ts";
import { oneAtATime } from "../turns.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { RoomKeeper } from "./keeper.ts";

/** A machine with one disk, whose QEMU notes what it is told; `run`: number of its run. */
class FakeMachine {
  readonly id;
  readonly file: string;
  readonly closing = new AbortController().signal;
  readonly told: string[] = [];
  readonly qmp: Qmp;
  status = "running";
  run = 1;
  isFull = false;
  record = { run: { number: 1, way: "boot", up: true } } as unknown as MachineRecord;

  constructor(name: string, file: string) {
    this.id = applianceId(ensembleName("shop"), applianceName(name));
    this.file = file;
    writeFileSync(file, "");
    const execute = (command: string): Promise<unknown> => {
      if (command === "query-status") return Promise.resolve({ status: this.status });
      if (command === "stop") this.status = "paused";
      if (command === "cont") this.status = "running";
      this.told.push(command);
      return Promise.resolve({});
    };
    this.qmp = { execute } as unknown as Qmp;
  }

  get guest(): { status: string; resets: number } {
    return { status: this.status, resets: 0 };
  }

  running(): RunningVm {
    const agent = { execute: () => Promise.reject(new Error("it has none")) };
    const { id, file, qmp } = this;
    return { id, disks: [{ name: "root", file, below: [] }], qmp, agent } as unknown as RunningVm;
  }

  save(change: Partial<MachineRecord>): void {
    if (this.isFull) throw new ConsortError("unavailable", "Cannot write: no space is left");
    this.note(change);
    this.told.push("saved");
  }

  note(change: Partial<MachineRecord>): void {
    this.record = { ...this.record, ...change };
  }

  grow(mib: number): void {
    writeFileSync(this.file, Buffer.alloc(mebibytes(mib), 1), { flag: "a" });
  }
}

/** Nothing here takes more than a few turns of what waits. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

describe("RoomKeeper", () => {
  let place: string;
  let [filling, calm] = [undefined, undefined] as unknown as [FakeMachine, FakeMachine];
  let freeMib = 0;
  let isOurs = true;
  let isComing = false;
  let clock: ManualClock;
  let keeper: RoomKeeper;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "consort-test-room-"));
    filling = new FakeMachine("filling", join(place, "a"));
    calm = new FakeMachine("calm", join(place, "b"));
    [freeMib, isOurs, isComing] = [400, true, false];
    clock = new ManualClock();
    keeper = madeKeeper();
  });
  afterEach(() => rmSync(place, { recursive: true }));

  const madeKeeper = (): RoomKeeper =>
    new RoomKeeper({
      room: () => ({ freeBytes: mebibytes(freeMib), totalBytes: mebibytes(10_000) }),
      machines: () => [filling, calm],
      isOurs: () => isOurs,
      isComing: () => isComing,
      clock,
      log: silentLog,
    });

  /** What both were told at this look. */
  async function look(): Promise<readonly (readonly string[])[]> {
    clock.advance(millis(1_000));
    keeper.look();
    await settled();
    return [filling, calm].map(({ told }) => told.splice(0));
  }

  async function hold(): Promise<void> {
    await look();
    filling.grow(8);
    assert.deepEqual(await look(), [["saved", "stop"], []]);
  }

  it("holds who fills the disk until there is plenty, and leaves others alone", async () => {
    assert.deepEqual(await look(), [[], []], "who has grown is not known yet");
    filling.grow(8);
    assert.deepEqual(await look(), [["saved", "stop"], []]);
    assert.equal(filling.record.heldInRun, 1);
    assert.deepEqual(await look(), [[], []]);
    freeMib = 600;
    assert.deepEqual(await look(), [[], []]);
    freeMib = 750;
    assert.deepEqual(await look(), [["cont"], []]);
    assert.equal(filling.record.heldInRun, undefined);
    assert.deepEqual(await look(), [[], []]);
  });

  it("holds it again when others have let it go on, and lets it be when they did so in time", async () => {
    await hold();
    filling.status = "running";
    assert.deepEqual(await look(), [["stop"], []]);
    filling.status = "running";
    freeMib = 900;
    assert.deepEqual(await look(), [[], []]);
    assert.equal(filling.record.heldInRun, undefined);
  });

  it("goes on where a manager before it ended, in the same run only", async () => {
    await hold();
    keeper = madeKeeper();
    assert.deepEqual(await look(), [[], []]);
    freeMib = 900;
    assert.deepEqual(await look(), [["cont"], []]);
    filling.note({ heldInRun: 1, run: { number: 2, way: "boot", up: true } });
    [filling.run, filling.status] = [2, "paused"];
    assert.deepEqual(await look(), [[], []], "whoever stopped it was not we");
  });

  it("lets go whom QEMU held, not at once again if that did not help, and only if there is room", async () => {
    calm.status = "io-error";
    assert.deepEqual(await look(), [[], []]);
    freeMib = 900;
    assert.deepEqual(await look(), [[], ["cont"]]);
    calm.status = "io-error";
    assert.deepEqual(await look(), [[], []]);
    clock.advance(millis(10_000));
    assert.deepEqual(await look(), [[], ["cont"]]);
  });

  it("waits for checkpoints and moves, and does not let go what they, or its user, have stopped", async () => {
    await hold();
    freeMib = 900;
    const over = Promise.withResolvers<void>();
    const migration = oneAtATime(filling.qmp, () => over.promise);
    assert.deepEqual(await look(), [[], []]);
    filling.status = "postmigrate";
    over.resolve();
    await migration;
    await settled();
    assert.deepEqual(filling.told.splice(0), []);
    filling.note({ heldInRun: 1 });
    [filling.status, isOurs] = ["paused", false];
    assert.deepEqual(await look(), [[], []]);
    isOurs = true;
    assert.deepEqual(await look(), [["cont"], []]);
  });

  it("does not hold for what its guest does not write, nor before it is on record", async () => {
    isComing = true;
    await look();
    filling.grow(8);
    assert.deepEqual(await look(), [[], []]);
    isComing = false;
    assert.deepEqual(await look(), [[], []]);
    filling.isFull = true;
    filling.grow(8);
    assert.deepEqual(await look(), [[], []]);
    filling.isFull = false;
    filling.grow(1);
    assert.deepEqual(await look(), [["saved", "stop"], []]);
  });
});

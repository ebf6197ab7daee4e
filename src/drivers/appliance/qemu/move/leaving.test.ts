import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { hostId, ipv4Address } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Processes } from "#drivers/process/port.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { Background } from "./background.ts";
import { LeavingSide } from "./leaving.ts";
import { MoveRecords } from "./record.ts";
import type { MoveRecord } from "./record.ts";

const id = "shop/db" as ApplianceId;
const signal = new AbortController().signal;
const relay = { pid: 1, startTime: "1", port: 7000 };
const plan: Extract<MovePlan, { side: "leaving" }> = {
  side: "leaving",
  move: "m1",
  to: hostId("h2"),
  toAddress: ipv4Address("127.0.0.1"),
  statePort: 7001,
  token: "secret",
};

/** A QEMU that answers always the same, and what it was asked. */
function answering(migration: string, state: string): { readonly qmp: Qmp; readonly asked: string[] } {
  const asked: string[] = [];
  const answers: Readonly<Record<string, unknown>> = {
    "query-migrate": { status: migration },
    "query-status": { status: state },
    "query-memory-size-summary": { "base-memory": 1 },
  };
  const qmp: Qmp = {
    execute: async (command) => {
      asked.push(command);
      return answers[command] ?? {};
    },
    onEvent: () => () => {},
    closed: new AbortController().signal,
    close() {},
  };
  return { qmp, asked };
}

describe("LeavingSide, where an earlier checkpoint was QEMU's last migration", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "consort-leaving-"))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Takes up a move that a manager before had brought so far, and lets it come to rest. */
  async function goOn(
    phase: MoveRecord["phase"],
    qmp: Qmp | undefined,
    more: Partial<typeof plan> = {},
  ): Promise<{ now: MoveRecord; sent: number }> {
    const records = new MoveRecords(directory);
    records.load();
    records.save({ id, move: "m1", side: "leaving", phase, disksRelay: relay });
    const background = new Background(silentLog);
    let sent = 0;
    const news = { changed() {}, progress() {}, sent: () => void (sent += 1) };
    const processes = { isRunning: () => true, signal: () => true } as unknown as Processes;
    const parts = {
      address: ipv4Address("127.0.0.1"),
      directory,
      processes,
      clock: systemClock(),
      log: silentLog,
    };
    const vm = { id, qmp, directory, inside: "/vm", disks: [] } as unknown as RunningVm;
    const present = qmp === undefined ? undefined : vm;
    await new LeavingSide(parts, records, background, news).step(present, vm, { ...plan, ...more }, signal);
    while (background.isBusy(id)) await turn();
    const now = records.get(id);
    assert.ok(now !== undefined);
    return { now, sent };
  }

  it("does not take a machine that runs for one that has left", async () => {
    const { now, sent } = await goOn("sending", answering("completed", "running").qmp);
    assert.equal(sent, 0);
    assert.equal(now.phase, "failed");
  });

  it("tells that it has left when it stands still after its state was sent", async () => {
    const { now, sent } = await goOn("sending", answering("completed", "postmigrate").qmp);
    assert.equal(sent, 1);
    assert.equal(now.phase, "sent");
  });

  it("neither sends nor continues a machine that stands still for a checkpoint", async () => {
    const { qmp, asked } = answering("completed", "postmigrate");
    const { now, sent } = await goOn("serving", qmp);
    assert.deepEqual([now.phase, sent], ["serving", 0]);
    assert.ok(!asked.includes("cont") && !asked.includes("migrate"), asked.join());
  });

  it("goes on again what was sent and did not arrive, also when its QEMU has ended meanwhile", async () => {
    const { qmp, asked } = answering("completed", "postmigrate");
    assert.equal((await goOn("sent", qmp, { cancelled: true, back: true })).now.phase, "failed");
    assert.ok(asked.includes("cont"), asked.join());
    const { now } = await goOn("sent", undefined, { cancelled: true, back: true });
    assert.deepEqual([now.phase, now.message], ["failed", "it did not arrive"]);
  });
});

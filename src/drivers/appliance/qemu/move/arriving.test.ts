import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ConsortError } from "#base/errors.ts";
import { hostId, ipv4Address } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { Processes } from "#drivers/process/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { ArrivingSide } from "./arriving.ts";
import { Background } from "./background.ts";
import type { MachinePlace } from "./ports.ts";
import { MoveRecords } from "./record.ts";
import type { MoveRecord } from "./record.ts";

const id = "shop/db" as ApplianceId;
const signal = new AbortController().signal;
const relay = { pid: 1, startTime: "1", port: 7000 };
const plan: Extract<MovePlan, { side: "arriving" }> = {
  side: "arriving",
  move: "m1",
  from: hostId("h1"),
  fromAddress: ipv4Address("127.0.0.1"),
  token: "secret",
};
const longMs = millis(10 * 60_000);

/** A QEMU whose line is there and which says nothing: each question ends as those do that are never answered. */
const hung: Qmp = {
  execute: (command) => Promise.reject(new ConsortError("unavailable", `${command} was not answered`)),
  onEvent: () => () => {},
  closed: signal,
  close() {},
};

describe("ArrivingSide, of a machine that runs before all of its memory has come and answers nobody", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "consort-arriving-"))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** As a later manager finds it; steps twice, long after one another. */
  async function looked(
    memory: Pick<MoveRecord, "memoryFollows">,
    isLineThere: boolean,
    isRelayThere: boolean,
  ): Promise<{ kills: number; now: MoveRecord | undefined }> {
    let kills = 0;
    const records = new MoveRecords(directory);
    records.load();
    const base = { id, move: "m1", side: "arriving", phase: "running-remote-disks" } as const;
    records.save({ ...base, stateRelay: relay, ...memory });
    const clock = new ManualClock();
    const processes = { isRunning: () => isRelayThere, signal: () => true } as unknown as Processes;
    const parts = { address: ipv4Address("127.0.0.1"), directory, processes, clock, log: silentLog };
    const background = new Background(silentLog);
    const news = { changed() {}, phase() {}, progress() {}, bootable() {} };
    const side = new ArrivingSide(parts, records, background, news);
    const cgroup = { procsFiles: () => [], killAll: () => void (kills += 1) };
    const place = { id, directory, inside: "/vm", cgroup, isSilent: true } as unknown as MachinePlace;
    const vm = isLineThere ? ({ ...place, qmp: hung, disks: [] } as unknown as RunningVm) : undefined;
    for (let pass = 0; pass < 2; pass += 1) {
      await side.step(vm, place, plan, signal);
      while (background.isBusy(id)) await turn();
      clock.advance(longMs);
    }
    return { kills, now: records.get(id) };
  }

  for (const [name, isLineThere] of [
    ["that answered before", true],
    ["that this manager never heard of", false],
  ] as const) {
    it(`ends a QEMU ${name} once nobody is left to send the rest, and tells why`, async () => {
      const { kills, now } = await looked({ memoryFollows: true }, isLineThere, false);
      assert.equal(kills, 1);
      assert.match(now?.message ?? "", /memory was lost/);
      assert.equal(now?.memoryFollows, undefined);
      // It begins again where it was to be.
      assert.equal(now?.phase, "running-remote-disks");
    });

    it(`waits for a QEMU ${name} while the rest may still come`, async () => {
      assert.equal((await looked({ memoryFollows: true }, isLineThere, true)).kills, 0);
    });

    it(`waits for a QEMU ${name} that has all of its memory`, async () => {
      assert.equal((await looked({}, isLineThere, false)).kills, 0);
    });
  }
});

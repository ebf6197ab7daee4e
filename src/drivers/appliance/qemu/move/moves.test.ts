import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { hostId, ipv4Address } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import type { Processes } from "#drivers/process/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import { VmMoves } from "./moves.ts";
import { MoveRecords } from "./record.ts";
import type { MoveRecord } from "./record.ts";

const id = "shop/db" as ApplianceId;

describe("VmMoves.isOvertaken()", () => {
  it("is what never ran here, or has left, where another move leads here: nobody else would take that away", () => {
    const directory = mkdtempSync(join(tmpdir(), "consort-moves-"));
    try {
      const address = ipv4Address("127.0.0.1");
      const arriving = (move: string): MovePlan => ({
        side: "arriving",
        move,
        from: hostId("h1"),
        fromAddress: address,
        token: "secret",
      });
      const leaving: MovePlan = {
        side: "leaving",
        move: "m2",
        to: hostId("h1"),
        toAddress: address,
        token: "s",
      };
      const isOvertaken = (state: string, plan: MovePlan | undefined): boolean => {
        const [side, phase] = state.split(" ") as [MoveRecord["side"], MoveRecord["phase"]];
        const records = new MoveRecords(directory);
        records.load();
        records.save({ id, move: "m1", side, phase });
        const processes = {} as Processes;
        const moves = new VmMoves({
          address,
          directory,
          processes,
          clock: new ManualClock(),
          log: silentLog,
        });
        moves.recover();
        return moves.isOvertaken(id, plan);
      };
      const useless = ["listening", "receiving", "received", "failed"].map((phase) => `arriving ${phase}`);
      for (const state of [...useless, "leaving sent"]) {
        assert.ok(isOvertaken(state, arriving("m2")), state);
        for (const plan of [arriving("m1"), leaving, undefined]) assert.ok(!isOvertaken(state, plan), state);
      }
      for (const state of [
        "arriving running-remote-disks",
        "arriving local",
        "leaving sending",
        "leaving failed",
      ])
        assert.ok(!isOvertaken(state, arriving("m2")), state);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

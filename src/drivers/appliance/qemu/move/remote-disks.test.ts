import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, ipv4Address } from "#base/ids.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { MachineSpec } from "../command/spec.ts";
import { VmMoves } from "./moves.ts";
import type { MoveParts } from "./ports.ts";
import { MoveRecords } from "./record.ts";
import type { MoveRecord } from "./record.ts";

const id = applianceId(ensembleName("shop"), applianceName("db"));
const disk = (name: string, readOnly = false): unknown => ({
  name,
  readOnly,
  layers: [{ source: { driver: "file", filename: `/vm/${name}` }, format: "qcow2" }],
});
const spec = { disks: [disk("software0", true), disk("root"), disk("home")] } as unknown as MachineSpec;

/** Where each disk would be read from, by a mover that finds this record. */
function sourcesAfter(record: Partial<MoveRecord>): readonly unknown[] {
  const directory = mkdtempSync(join(tmpdir(), "consort-moves-"));
  try {
    const records = new MoveRecords(directory);
    records.load();
    records.save({ id, move: "one", side: "arriving", phase: "running-remote-disks", ...record });
    const parts = { address: ipv4Address("127.0.0.1"), directory, log: silentLog };
    const moves = new VmMoves(parts as unknown as MoveParts);
    moves.recover();
    return moves.bootable(id, spec).disks.map(({ layers }) => layers[0].source["driver"]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test("a machine that has arrived boots from the disks it came from, but for those that are all here", () => {
  assert.deepEqual(sourcesAfter({}), ["file", "nbd", "nbd"]);
  assert.deepEqual(sourcesAfter({ disksHere: ["root"] }), ["file", "file", "nbd"]);
  assert.deepEqual(sourcesAfter({ disksHere: ["root", "home"] }), ["file", "file", "file"]);
});

test("a machine whose move is over, or that leaves, boots from its own disks", () => {
  assert.deepEqual(sourcesAfter({ phase: "local" }), ["file", "file", "file"]);
  assert.deepEqual(sourcesAfter({ side: "leaving", phase: "sending" }), ["file", "file", "file"]);
});

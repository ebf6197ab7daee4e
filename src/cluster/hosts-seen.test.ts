import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, millis } from "#base/units.ts";
import { hostRecordOf, HostsSeen, tellsOf } from "#cluster/hosts-seen.ts";
import { sampleHosts } from "#cluster/sample.ts";
import type { ApplianceReport, HostReport } from "#protocol/host-report.ts";

const a1 = hostId("a1");

const running = (ensemble: string, name: string): ApplianceReport => ({
  id: applianceId(ensembleName(ensemble), applianceName(name)),
  generation: "g1",
  state: "running",
  restarts: 0,
  cpuUsedMs: millis(0),
  memoryBytes: bytes(0),
});

function reportOf(fields: Partial<HostReport> = {}): HostReport {
  const { id: host, ...about } = sampleHosts().get(a1)!;
  return {
    host,
    ...about,
    at: millis(0),
    epoch: 1,
    acceptedRevision: 1,
    convergedRevision: 1,
    appliances: [],
    pairs: [],
    pairsReadAt: millis(0),
    tunnels: [],
    usage: { cpuMilli: about.capacity.cpuMilli, memoryBytes: bytes(0) },
    problems: [],
    ...fields,
  };
}

const desk = () => new HostsSeen(new ManualClock(), () => limits.hostSilenceMsMax);

describe("HostsSeen", () => {
  it("takes newer measurements alone for no news", () => {
    const seen = desk();
    assert.equal(seen.take(reportOf()).news, true);
    assert.equal(seen.take(reportOf({ at: millis(1000), pairsReadAt: millis(1000) })).news, false);
    assert.equal(seen.take(reportOf({ convergedRevision: 2 })).news, true);
    assert.equal(seen.take(reportOf({ convergedRevision: 2, problems: [{ message: "full" }] })).news, true);
  });

  it("tells what came, changed its state, or was restarted, and that something is gone", () => {
    const seen = desk();
    const [web, db] = [running("shop", "web"), running("shop", "db")];
    const changed = (...appliances: ApplianceReport[]) => seen.take(reportOf({ appliances }));
    assert.deepEqual(
      changed(web, db).changes.map(({ after }) => after.id),
      [web.id, db.id],
    );
    assert.deepEqual(
      changed(web, { ...db, restarts: 1 }).changes.map(({ after }) => after.id),
      [db.id],
    );
    const last = changed({ ...db, restarts: 1 });
    assert.deepEqual([last.changes, last.news], [[], true]);
  });

  it("knows which hosts tell of an ensemble", () => {
    const seen = desk();
    seen.take(reportOf({ appliances: [running("shop", "web"), running("bank", "db")] }));
    seen.take(reportOf({ host: hostId("a2"), appliances: [running("shop", "db")] }));
    assert.deepEqual([...seen.holders("shop")], ["a1", "a2"]);
    seen.take(reportOf({ appliances: [running("bank", "db")] }));
    assert.deepEqual([...seen.holders("shop")], ["a2"]);
    assert.deepEqual([...seen.holders("bank")], ["a1"]);
    assert.deepEqual([...seen.holders("none")], []);
  });
});

describe("tellsOf()", () => {
  it("notices every field of a host's record that differs", () => {
    const full: HostReport = reportOf({
      outsideAddress: sampleHosts().get(a1)!.address,
      tunnelPublicKey: "key",
      labels: { disk: "fast" },
      capabilities: ["appliance:task", "exec"],
    });
    const record = hostRecordOf(full);
    assert.equal(tellsOf(structuredClone(full), record), true);
    assert.equal(tellsOf(full, undefined), false);
    for (const [name, value] of Object.entries(record)) {
      const others = typeof value === "string" ? [`${value}x`] : Array.isArray(value) ? [[], ["exec"]] : [{}];
      for (const other of others) {
        assert.equal(tellsOf(full, { ...record, [name]: other }), false, name);
      }
    }
  });
});

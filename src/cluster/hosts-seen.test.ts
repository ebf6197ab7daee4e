import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId, macAddress, networkId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, millis } from "#base/units.ts";
import { hostRecordOf, HostsSeen, tellsOf } from "#cluster/hosts-seen.ts";
import { sampleHosts } from "#cluster/sample.ts";
import type { ApplianceReport, Heartbeat, HostReport } from "#protocol/host-report.ts";

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

function heartbeatOf(number: number, fields: Partial<Heartbeat> = {}): Heartbeat {
  const { host, at, usage, pairs, pairsReadAt } = reportOf();
  const mark = { epoch: 1, number };
  return { host, mark, at, cpuUsedMs: [], memoryBytes: [], usage, pairs, pairsReadAt, ...fields };
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

describe("HostsSeen, of heartbeats", () => {
  const [web, db] = [running("shop", "web"), running("shop", "db")];

  it("takes the report for told again, with newer measurements, and keeps what it was handed as it was", () => {
    const clock = new ManualClock();
    const seen = new HostsSeen(clock, () => limits.hostSilenceMsMax);
    const report = Object.freeze(reportOf({ appliances: [Object.freeze(web), Object.freeze(db)] }));
    const { mark } = seen.take(report);
    clock.advance(limits.hostSilenceMsMax);
    assert.equal(seen.isFresh(a1), false);
    const [cpuUsedMs, memoryBytes] = [
      [millis(500), millis(2000)],
      [bytes(1), bytes(2)],
    ];
    const usage = { ...report.usage, memoryBytes: bytes(3) };
    seen.takeHeartbeat(heartbeatOf(mark, { at: millis(4000), cpuUsedMs, memoryBytes, usage }));
    assert.equal(seen.isFresh(a1), true);
    const now = seen.report(a1) ?? assert.fail("forgotten");
    assert.deepEqual([now.at, now.usage.memoryBytes], [4000, 3]);
    assert.deepEqual(
      now.appliances.map((one) => [one.id, one.state, one.cpuUsedMs, one.memoryBytes]),
      [
        [web.id, "running", 500, 1],
        [db.id, "running", 2000, 2],
      ],
    );
    assert.deepEqual([seen.cpuMilli(a1, web.id), seen.cpuMilli(a1, db.id)], [125, 500]);
  });

  it("counts traffic between two heartbeats", () => {
    const seen = desk();
    const [fromMac, toMac] = [macAddress("02:00:00:00:00:01"), macAddress("02:00:00:00:00:02")];
    const pairs = (count: number) => [
      { network: networkId(ensembleName("shop"), "lan"), fromMac, toMac, packets: 1, bytes: count },
    ];
    const { mark } = seen.take(reportOf({ pairs: pairs(1000) }));
    seen.takeHeartbeat(heartbeatOf(mark, { pairs: pairs(3000), pairsReadAt: millis(2000) }));
    assert.deepEqual(seen.traffic([a1], fromMac, toMac), { bytes: 3000, bps: 8000 });
  });

  it("takes no heartbeat that refers to another report than the newest, or to none", () => {
    const clock = new ManualClock();
    const seen = new HostsSeen(clock, () => limits.hostSilenceMsMax);
    assert.equal(seen.takeHeartbeat(heartbeatOf(1)), undefined);
    const first = seen.take(reportOf());
    const second = seen.take(reportOf({ appliances: [web] }));
    assert.notEqual(first.mark, second.mark);
    clock.advance(limits.hostSilenceMsMax);
    assert.equal(seen.takeHeartbeat(heartbeatOf(first.mark)), undefined);
    // Measurements of other appliances than those that were told.
    assert.equal(seen.takeHeartbeat(heartbeatOf(second.mark)), undefined);
    assert.equal(seen.isFresh(a1), false);
  });

  it("tells the use of processor time over a report with others, but not of one that was not told before", () => {
    const clock = new ManualClock();
    const seen = new HostsSeen(clock, () => limits.hostSilenceMsMax);
    seen.take(reportOf({ appliances: [web] }));
    clock.advance(millis(1000));
    seen.take(
      reportOf({
        appliances: [
          { ...db, cpuUsedMs: millis(700) },
          { ...web, cpuUsedMs: millis(300) },
        ],
      }),
    );
    assert.deepEqual([seen.cpuMilli(a1, web.id), seen.cpuMilli(a1, db.id)], [300, 0]);
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

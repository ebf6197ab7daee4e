import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, mebibytes, milliCpu, millis } from "#base/units.ts";
import { HostsSeen } from "#cluster/hosts-seen.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { ensembleView } from "#cluster/views.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { sampleEnsemble } from "#model/sample.ts";
import type { HostReport, HostUsage } from "#protocol/host-report.ts";

const a1 = hostId("a1");
const db = applianceId(ensembleName("shop"), applianceName("db"));
const record = sampleRecord(sampleEnsemble("shop", { appliances: [sampleVm("db")] }), { db: "a1" });

const usageWith = (writtenBytes: number): HostUsage => ({
  cpuMilli: milliCpu(0),
  memoryBytes: bytes(0),
  guests: {
    [db]: { memoryAvailableBytes: mebibytes(60), readBytes: bytes(1), writtenBytes: bytes(writtenBytes) },
  },
});

test("a guest's own use is shown as its host told it last, by heartbeats too, until that is silent", () => {
  const clock = new ManualClock();
  const seen = new HostsSeen(clock, () => limits.hostSilenceMsMax);
  const { id: host, ...about } = sampleHosts().get(a1)!;
  const report: HostReport = {
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
    usage: usageWith(10),
    problems: [],
  };
  const sources = {
    ensembles: [record],
    hosts: sampleHosts(),
    topology: sampleTopology("vxlan"),
    seen,
    standing: () => ({ scheduling: "open" as const, fenced: false }),
  };
  const progress = { complete: true, failed: false, done: 1, total: 1, message: "" };
  const guest = () => ensembleView(record, progress, sources).appliances[0]?.guest;
  assert.equal(guest(), undefined);
  const { mark } = seen.take(report);
  assert.deepEqual(guest(), { memoryAvailableBytes: mebibytes(60), readBytes: 1, writtenBytes: 10 });
  const news = { at: millis(1000), cpuUsedMs: [], memoryBytes: [], usage: usageWith(30) };
  const { pairs, pairsReadAt } = report;
  seen.takeHeartbeat({ host, mark: { epoch: 1, number: mark }, pairs, pairsReadAt, ...news });
  assert.equal(guest()?.writtenBytes, 30);
  clock.advance(limits.hostSilenceMsMax);
  assert.equal(guest(), undefined);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId, siteName } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { bytes, millis } from "#base/units.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { downProgress, upProgress } from "#cluster/progress.ts";
import type { Observed, Progress } from "#cluster/progress.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { ApplianceReport, HostProblem, HostReport, TunnelReport } from "#protocol/host-report.ts";

const record = sampleRecord(sampleEnsemble("shop", { appliances: [sampleAppliance("web")] }), { web: "a1" });
const web = applianceId(ensembleName("shop"), applianceName("web"));
const bodies = hostPlanBodies({
  ensembles: [record],
  hosts: sampleHosts(),
  tunnels: new Map(),
  topology: sampleTopology("vxlan"),
});
const generation = bodies.get(hostId("a1"))?.appliances[0]?.generation ?? "";
const at = millis(1_000_000);

const telling = (fields: Partial<ApplianceReport>): ApplianceReport => ({
  id: web,
  generation,
  state: "running",
  restarts: 0,
  startedAt: at,
  cpuUsedMs: millis(0),
  memoryBytes: bytes(0),
  ...fields,
});

type Telling = { problems?: HostProblem[]; appliances?: ApplianceReport[]; tunnels?: TunnelReport[] };

const reportOf = (host: HostId, telling_: Telling): HostReport =>
  ({
    host,
    site: siteName("alpha"),
    at,
    appliances: [],
    problems: [],
    tunnels: [],
    ...telling_,
  }) as unknown as HostReport;

function observed(a1: Telling): Observed {
  const reports = new Map([[hostId("a1"), reportOf(hostId("a1"), a1)]]);
  return {
    body: (host) => bodies.get(host),
    bodies: () => bodies.values(),
    report: (host) => reports.get(host),
    holders: () => reports.keys(),
    matches: (host, concerns) => {
      const report = reports.get(host);
      return report !== undefined && !report.problems.some(concerns);
    },
    isFenced: () => false,
    unguarded: [],
  };
}

const up = (fields: Partial<ApplianceReport>): Progress =>
  upProgress(record, observed({ appliances: [telling(fields)] }));

describe("upProgress()", () => {
  it("is complete at the first moment everything runs", () => {
    assert.deepEqual([up({}).complete, up({}).done], [true, 1]);
  });

  it("counts what ended well and is not to be restarted as done", () => {
    assert.equal(up({ state: "exited", exitCode: 0 }).complete, true);
  });

  it("does not take the moment between two ends of a crash loop for running", () => {
    assert.equal(up({ restarts: 2 }).complete, false);
    assert.equal(up({ restarts: 2, startedAt: millis(at - limits.settledRunMs) }).complete, true);
  });

  it("fails with the last words of what keeps ending, and not at its first stumble", () => {
    const words = "Its command ended with exit code 3";
    assert.equal(up({ state: "backoff", restarts: 1, message: words }).failed, false);
    const looping = up({ state: "backoff", restarts: limits.restartsBeforeFailure, message: words });
    assert.equal(looping.failed, true);
    assert.match(looping.message, /shop\/web on a1: Its command ended with exit code 3/);
  });

  it("waits for the newest generation, whatever the old one does", () => {
    const old = up({ generation: "old", state: "failed" });
    assert.deepEqual([old.complete, old.failed], [false, false]);
  });

  it("waits for its own problems and the host's, not for another ensemble's", () => {
    const other = applianceId(ensembleName("shopping"), applianceName("web"));
    const with_ = (problem: HostProblem): Progress =>
      upProgress(record, observed({ appliances: [telling({})], problems: [problem] }));
    assert.equal(with_({ appliance: other, message: "stopping shopping/web" }).complete, true);
    assert.match(
      with_({ appliance: web, message: "resize shop/web: EBUSY" }).message,
      /a1: resize shop\/web/,
    );
    assert.match(with_({ message: "set up the network: no" }).message, /a1: set up the network: no/);
  });

  it("tells what keeps an appliance waiting once", () => {
    const problems = [{ appliance: web, message: "waits for its image tiny, 28MiB of 44MiB" }];
    const { message } = upProgress(record, observed({ problems }));
    assert.equal(message, "waiting for shop/web on a1: waits for its image tiny, 28MiB of 44MiB");
  });

  it("tells no reason that is over, and waits for what the host is at work on", () => {
    const problems: HostProblem[] = [{ appliance: web, message: "shop/web is being made", underWay: true }];
    const before = upProgress(record, observed({ problems }));
    assert.equal(before.message, "waiting for shop/web on a1, a1 (converging)");
    const made = upProgress(record, observed({ appliances: [telling({})], problems }));
    assert.deepEqual([made.complete, made.done, made.message], [false, 1, "waiting for a1 (converging)"]);
  });

  it("waits for the tunnels between its sites only", () => {
    const tunnel = (peer: string): TunnelReport => ({
      peerSite: siteName(peer),
      kind: "wireguard",
      up: false,
    });
    const with_ = (peer: string): boolean =>
      upProgress(record, observed({ appliances: [telling({})], tunnels: [tunnel(peer)] })).complete;
    assert.deepEqual([with_("gamma"), with_("alpha")], [true, false]);
  });
});

describe("downProgress()", () => {
  it("is complete when no host tells of it and its hosts match; ensembles of like names are not meant", () => {
    const like = telling({ id: applianceId(ensembleName("shopping"), applianceName("web")) });
    assert.equal(downProgress(record, observed({ appliances: [like] })).complete, true);
    assert.match(downProgress(record, observed({ appliances: [telling({})] })).message, /shop\/web on a1/);
  });
});

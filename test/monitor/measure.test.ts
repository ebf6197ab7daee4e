import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { Probe } from "#drivers/monitor/port.ts";
import { systemMonitors } from "#drivers/monitor/system-monitors.ts";
import type { MonitorSource, NamedSeries } from "#model/ensemble.ts";
import { clock } from "../task/host.ts";
import { Namespace } from "./namespace.ts";

const { signal } = new AbortController();
const rtp: MonitorSource = { kind: "rtp", port: 5004 };

type Programs = Pick<ApplianceDriver, "exec" | "observe">;
const noPrograms: Programs = { exec: () => Promise.resolve(0), observe: () => [] };

function open(
  namespace: Pick<Namespace, "target">,
  source: MonitorSource,
  appliances: Programs = noPrograms,
): Probe {
  return systemMonitors({ appliances, clock }).open(
    {
      ensemble: ensembleName("conformance"),
      name: "seen",
      appliance: namespace.target.appliance,
      everyMs: millis(200),
      source,
    },
    namespace.target,
  );
}

const value = (readings: readonly Reading[], metric: string): number =>
  readings.find((reading) => reading.metric === metric)?.value ?? Number.NaN;

/** What a monitor tells once a sender in its namespace has sent all it was to send. */
async function heardOf(namespace: Namespace, ...sender: number[]): Promise<readonly Reading[]> {
  const probe = open(namespace, rtp);
  try {
    const { child } = await namespace.node("rtp-sender.child.ts", "5004", ...sender.map(String));
    await once(createInterface({ input: child.stdout! }), "line");
    return await probe.read(signal);
  } finally {
    probe.close();
  }
}

describe("an RTP monitor", () => {
  it("sees every packet and exactly what was lost, at 10,000 packets a second", async () => {
    await using namespace = new Namespace();
    const readings = await heardOf(namespace, 10_000, 0.1, 100);
    // What comes last was left out, so that nobody can tell that it was sent.
    assert.ok(Math.abs(value(readings, "loss") - 99 / 9999) < 1e-9, JSON.stringify(readings));
    assert.ok(value(readings, "packets") > 0);
  });

  it("sees packets that come late, by when they came and not by when they are looked at", async () => {
    await using namespace = new Namespace();
    const readings = await heardOf(namespace, 60, 20, 0, 10, 15);
    assert.ok(value(readings, "deviation") >= 14, JSON.stringify(readings));
    assert.ok(value(readings, "jitter") > 0.5);
    assert.equal(value(readings, "loss"), 0);
  });

  it("counts the frames of a real video stream", async () => {
    await using namespace = new Namespace();
    const probe = open(namespace, rtp);
    const source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-t", "4", "-c:v", "mpeg2video"];
    const ffmpeg = [
      "ffmpeg",
      "-loglevel",
      "error",
      "-re",
      ...source,
      "-f",
      "rtp_mpegts",
      "rtp://127.0.0.1:5004",
    ];
    const child = namespace.spawn(...ffmpeg);
    await once(child, "exit");
    const readings = await probe.read(signal);
    probe.close();
    // Counted from its first packet on. Packets or pictures counted wrongly would be off by a third or more; a busy
    // machine, on which the player begins late and catches up, is not.
    const frameRate = value(readings, "frame-rate");
    assert.ok(frameRate > 20 && frameRate < 30, `25 frames a second: ${JSON.stringify(readings)}`);
    assert.equal(value(readings, "loss"), 0);
  });

  it("lets go of a network that is gone, and follows its appliance into another", async () => {
    const first = new Namespace();
    const before = sockets();
    const probe = open(first, rtp);
    await first[Symbol.asyncDispose]();
    await assert.rejects(probe.read(signal), { code: "driver_failed", message: /it is not there/ });
    assert.equal(sockets(), before, "nothing keeps the network alive");
    await using again = new Namespace(first.name);
    await assert.doesNotReject(probe.read(signal));
    const { child } = await again.node("rtp-sender.child.ts", "5004", "10", "1");
    await once(createInterface({ input: child.stdout! }), "line");
    assert.equal(value(await probe.read(signal), "loss"), 0);
    const withTap = sockets();
    probe.close();
    assert.equal(sockets(), withTap - 1);
  });

  it("leaves nothing behind: no socket, no namespace", async () => {
    const before = sockets();
    {
      await using namespace = new Namespace();
      const probes = Array.from({ length: 20 }, () => open(namespace, rtp));
      assert.equal(sockets(), before + 20);
      const nowhere = { target: { ...namespace.target, netns: "/run/netns/none" } };
      assert.throws(() => open(nowhere, rtp), { code: "driver_failed" });
      for (const probe of probes) probe.close();
      assert.equal(sockets(), before);
    }
    assert.deepEqual(
      readdirSync("/run/netns").filter((name) => name.startsWith(`consort-test-monitor-${process.pid}-`)),
      [],
    );
    assert.ok(existsSync("/run/netns"));
  });
});

const sockets = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;

describe("an HTTP monitor", () => {
  const ask = async (
    namespace: Namespace,
    url: string,
    metrics?: NamedSeries,
  ): Promise<readonly Reading[]> => {
    const probe = open(namespace, { kind: "http", url, ...(metrics === undefined ? {} : { metrics }) });
    return probe.read(signal).finally(() => probe.close());
  };

  it("reads pages, also by the names of the ensemble, and tells what is wrong with bad ones", async () => {
    await using namespace = new Namespace();
    const { firstLine: port } = await namespace.node("page.child.ts");
    assert.deepEqual(await ask(namespace, `http://localhost:${port}/number`), [{ metric: "", value: 12.5 }]);
    assert.deepEqual(await ask(namespace, `http://self:${port}/metrics`), [
      { metric: "queue", value: 7 },
      { metric: "wait-ms", value: 3 },
    ]);
    const metrics = { errors: 'sum(errors_total{code="500"})', up: "up" };
    assert.deepEqual(await ask(namespace, `http://self:${port}/prometheus`, metrics), [
      { metric: "errors", value: 7 },
      { metric: "up", value: 1 },
    ]);
    await assert.rejects(
      ask(namespace, `http://self:${port}/prometheus`, { errors: "errors_total" }),
      /errors_total is there 2 times .*, one was wanted/,
    );
    await assert.rejects(ask(namespace, `http://self:${port}/words`), /line 1 is "not a number"/);
    await assert.rejects(ask(namespace, `http://self:${port}/huge`), /more than 65536 bytes/);
    await assert.rejects(ask(namespace, `http://self:${port}/elsewhere`), /it answers 302/);
    await assert.rejects(ask(namespace, `http://self:${port}/none`), /it answers 404/);
    await assert.rejects(ask(namespace, `http://self:1/`), {
      code: "driver_failed",
      message: /ECONNREFUSED/,
    });
    await assert.rejects(
      ask(namespace, `http://other:${port}/`),
      /other means nothing inside conformance\/one/,
    );
    await assert.rejects(ask(namespace, `https://self:${port}/`), /http:\/\/HOST\[:PORT\]\/PATH was wanted/);
  });

  it("gives up on a page that never answers when it is told to, and keeps no connection", async () => {
    await using namespace = new Namespace();
    const { firstLine: port } = await namespace.node("page.child.ts");
    const before = sockets();
    const stop = new AbortController();
    const probe = open(namespace, { kind: "http", url: `http://self:${port}/silent` });
    const reading = probe.read(stop.signal);
    const reason = new Error("too slow");
    stop.abort(reason);
    await assert.rejects(reading, reason);
    assert.equal(sockets(), before);
  });

  it("reaches nothing outside the appliance's network", async () => {
    await using namespace = new Namespace();
    const server = createServer((_, response) => response.end("1"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await assert.rejects(ask(namespace, `http://127.0.0.1:${port}/`), /ECONNREFUSED/);
    server.close();
  });
});

describe("a script monitor", () => {
  const program = (
    exitCode: number,
    ...output: readonly (readonly ["stdout" | "stderr", string])[]
  ): Programs => ({
    observe: () => [],
    exec: async (_, request, stop) => {
      for (const [stream, text] of output) {
        stop.throwIfAborted();
        request.onOutput(stream, Buffer.from(text));
      }
      stop.throwIfAborted();
      return exitCode;
    },
  });
  const run = async (appliances: Programs): Promise<readonly Reading[]> => {
    await using namespace = new Namespace();
    return open(namespace, { kind: "script", command: ["measure"] }, appliances).read(signal);
  };

  it("reads what it writes, and only that", async () => {
    const readings = await run(program(0, ["stderr", "warning\n"], ["stdout", "queue "], ["stdout", "7\n"]));
    assert.deepEqual(readings, [{ metric: "queue", value: 7 }]);
  });

  it("tells why it ended, what is no number, and stops what writes without end", async () => {
    await assert.rejects(run(program(3, ["stderr", "no \u001b[2J such queue\n"])), {
      message: 'Cannot read the answer: measure ended with 3, saying "no \\u001b[2J such queue"',
    });
    await assert.rejects(run(program(0, ["stdout", "queue many"])), /line 1 is "queue many"/);
    const flood = Array.from({ length: 1000 }, (): ["stdout", string] => ["stdout", "1".repeat(1000)]);
    await assert.rejects(run(program(0, ...flood)), /writes more than 65536 bytes/);
  });
});

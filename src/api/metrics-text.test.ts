import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { metricsText } from "#api/metrics-text.ts";
import type { Measured } from "#api/metrics-text.ts";
import type { Operation } from "#protocol/http/operation.ts";

const measured: Measured = {
  version: "1.2.3",
  hosts: [
    {
      id: 'a"1\\\n',
      site: "a",
      role: "host",
      state: "lost",
      scheduling: "draining",
      fenced: true,
      address: "172.30.1.2",
      labels: {},
      cpuMilli: 1500,
      cpuReservedMilli: 250,
      cpuUsedMilli: 0,
      memoryBytes: 2048,
      memoryReservedBytes: 0,
      memoryUsedBytes: 0,
      machine: {
        processors: 2,
        load: [0.5, 1, 2],
        busyMilli: 1250,
        memoryTotalBytes: 100,
        memoryAvailableBytes: 40,
        readBytes: 7,
        writtenBytes: 8,
        readBytesPerSecond: 1,
        writtenBytesPerSecond: 2,
        inBytes: 9,
        outBytes: 10,
        inBps: 0,
        outBps: 0,
      },
      uplinkBps: 1e9,
      appliances: 1,
      tunnels: [{ peerSite: "b", kind: "wireguard", up: true }],
      lastSeenMs: 0,
      problems: [],
    },
  ],
  ensembles: [
    {
      name: "shop",
      state: "running",
      revision: 1,
      appliances: ["running", "running", "failed", "fenced"].map((state, n) => ({
        ensemble: "shop",
        name: `web-${n}`,
        kind: "task",
        state,
        restarts: n,
        addresses: [],
        cpuUsedMilli: 500,
        memoryUsedBytes: 64,
        ...(n === 0
          ? {
              guest: { memoryTotalBytes: 100, memoryAvailableBytes: 60, readBytes: 5, writtenBytes: 6 },
            }
          : {}),
      })),
      networks: [],
      links: [
        {
          from: "web",
          to: "db",
          network: "lan",
          connection: "trivial",
          path: [],
          forwardBps: 8,
          backwardBps: 16,
          forwardBytes: 1,
          backwardBytes: 2,
        },
      ],
    },
  ],
  operations: [
    { kind: "recover", ensemble: "shop", state: "running" },
    { kind: "recover", ensemble: "till", state: "failed" },
    { kind: "drain", host: "a2", state: "failed" },
  ].map((one, n) => ({
    ...(one as Pick<Operation, "kind" | "state">),
    id: `op-${n}`,
    phase: "accepted",
    progress: { done: 0, total: 1 },
    message: "",
    createdAtMs: 0,
  })),
};

describe("metricsText()", () => {
  const text = metricsText(measured);
  const lines = text.split("\n");

  it("counts appliances by state", () => {
    assert.ok(lines.includes('consort_appliances{ensemble="shop",state="running"} 2'));
    assert.ok(lines.includes('consort_appliances{ensemble="shop",state="failed"} 1'));
  });

  it("tells hosts that take nothing new or are granted no lease, and what they hold", () => {
    const host = 'host="a\\"1\\\\\\n",site="a",role="host"';
    assert.ok(lines.includes(`consort_host_fenced{${host}} 1`), text);
    assert.ok(lines.includes(`consort_host_scheduling{${host},scheduling="draining"} 1`));
    assert.ok(lines.includes(`consort_host_scheduling{${host},scheduling="open"} 0`));
    assert.ok(lines.includes('consort_appliances_fenced{ensemble="shop"} 1'));
  });

  it("counts recoveries in every state, and drains among the operations only", () => {
    assert.ok(lines.includes('consort_recoveries{state="running"} 1'));
    assert.ok(lines.includes('consort_recoveries{state="failed"} 1'));
    assert.ok(lines.includes('consort_recoveries{state="done"} 0'));
    assert.ok(lines.includes('consort_operations{kind="drain",state="failed"} 1'));
  });

  it("gives bytes of a link in each direction, and a promise only where there is one", () => {
    assert.ok(lines.includes('consort_link_bytes_total{ensemble="shop",network="lan",from="web",to="db"} 1'));
    assert.ok(lines.includes('consort_link_bytes_total{ensemble="shop",network="lan",from="db",to="web"} 2'));
    assert.ok(!lines.some((line) => line.startsWith("consort_link_promised_bits_per_second{")));
  });

  it("escapes labels and uses base units", () => {
    const labels = '{host="a\\"1\\\\\\n",site="a",role="host"}';
    assert.ok(lines.includes(`consort_host_cpu_cores${labels} 1.5`), text);
    assert.ok(lines.includes(`consort_host_up${labels} 0`));
  });

  it("tells of the machine below a host", () => {
    const labels = '{host="a\\"1\\\\\\n",site="a",role="host"}';
    assert.ok(lines.includes(`consort_host_busy_cores${labels} 1.25`), text);
    assert.ok(lines.includes(`consort_host_disk_written_bytes_total${labels} 8`));
    assert.ok(lines.includes(`consort_host_received_bytes_total${labels} 9`));
  });

  it("tells of guests where they tell", () => {
    const labels = '{ensemble="shop",appliance="web-0",host=""}';
    for (const sample of ["memory_bytes 100", "memory_available_bytes 60", "disk_written_bytes_total 6"]) {
      const [name = "", value = ""] = sample.split(" ");
      assert.deepEqual(
        lines.filter((line) => line.startsWith(`consort_guest_${name}{`)),
        [`consort_guest_${name}${labels} ${value}`],
      );
    }
  });

  it("is in the text format throughout: each family described once, each sample a number", () => {
    assert.ok(text.endsWith("\n"));
    const sample = /^[a-z_]+\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\} -?[0-9.e+]+$/;
    for (const line of lines.slice(0, -1)) {
      assert.ok(/^# (HELP|TYPE) [a-z_]+ \S/.test(line) || sample.test(line), line);
    }
    const types = lines.filter((line) => line.startsWith("# TYPE"));
    assert.equal(new Set(types).size, types.length);
    assert.ok(types.length > 15);
  });
});

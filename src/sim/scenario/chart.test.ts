import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceName, ensembleName, applianceId, hostId } from "#base/ids.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import { cpuSvg } from "#sim/scenario/chart-svg.ts";
import { cpuChart } from "#sim/scenario/chart-text.ts";
import { CpuRecorder } from "#sim/scenario/series.ts";

const topology = defaultLabTopology(1, 2);
const [a1, a2] = ["a1", "a2"].map(hostId);
const one = applianceId(ensembleName("one"), applianceName("x"));
const two = applianceId(ensembleName("two"), applianceName("y"));

/** `one` alone on a1 for four samples; then `two` comes and takes half. */
function recorded(): CpuRecorder {
  const recorder = new CpuRecorder();
  assert.ok(a1 !== undefined && a2 !== undefined);
  for (let sample = 0; sample < 8; sample += 1) {
    const here =
      sample < 4
        ? new Map([[one, 500]])
        : new Map([
            [one, 250],
            [two, 250],
          ]);
    recorder.take(
      sample * 1000,
      new Map([
        [a1, here],
        [a2, new Map()],
      ]),
    );
  }
  return recorder;
}

test("a chart has one line an appliance on its host, all at one scale", () => {
  const lines = cpuChart(recorded(), topology, 80).split("\n");
  assert.equal(lines[0], "CPU given over time; a full block is 50%");
  assert.equal(lines[1], "a1, 50%");
  assert.equal(lines[2], "  one/x    ████▄▄▄▄    50%");
  assert.equal(lines[3], "  two/y        ▄▄▄▄    25%");
  assert.match(lines.at(-2) ?? "", /0s\s+7s +most$/);
});

test("samples beyond the width share columns", () => {
  const recorder = new CpuRecorder();
  for (let sample = 0; sample < 1000; sample += 1)
    recorder.take(sample, new Map([[hostId("a1"), new Map([[one, sample < 500 ? 500 : 0]])]]));
  const line = cpuChart(recorder, topology, 60).split("\n")[2] ?? "";
  assert.ok(line.length <= 60, line);
  assert.match(line, /█{10,} {10,}/);
});

test("what comes late was not there before, and a line that has gone falls to nothing", () => {
  const recorder = recorded();
  recorder.take(8000, new Map([[hostId("a1"), new Map()]]));
  const lines = recorder.appliances.get(hostId("a1"));
  assert.deepEqual(lines?.get(two), [0, 0, 0, 0, 250, 250, 250, 250, 0]);
  assert.equal(lines?.get(one)?.at(-1), 0);
  assert.deepEqual(recorder.running, [1, 1, 1, 1, 2, 2, 2, 2, 0]);
});

test("the picture stacks appliances to what the host gave in all, and escapes what people wrote", () => {
  const svg = cpuSvg(recorded(), topology, 'A & B "<script>"');
  assert.ok(svg.startsWith("<svg ") && svg.endsWith("</svg>\n"));
  assert.match(svg, /A &amp; B &quot;&lt;script&gt;&quot;/);
  assert.doesNotMatch(svg, /<script/);
  const polygons = [...svg.matchAll(/<polygon points="([^"]+)"[^>]*><title>([^<]+)/g)];
  assert.deepEqual(
    polygons.map((found) => found[2]),
    ["one/x", "two/y"],
  );
  // Together they fill the host: the upper edge of the second is the top of the plot.
  assert.match(polygons[1]?.[1] ?? "", /,50\.0 /);
});

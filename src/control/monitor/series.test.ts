import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { readSeries, readerOf } from "#control/monitor/series.ts";

/** As nginx, Go programs and OpenMetrics write them. */
const page = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"} 3 1395066363000
http_requests_total{code="400",method="get",} 4 # {trace_id="a b"} 0.67
queue_length 12
something_weird{problem="division by zero \\"}"} +Inf -3982045
path{at="C:\\\\DIR\\\\", error="Cannot find {it}\\n", } 1.5e3
rpc_duration_seconds{quantile="0.5"} NaN
other{not=looked at} at all
`;

const read = (metrics: Readonly<Record<string, string>>) =>
  Object.fromEntries(readerOf(metrics)(page).map(({ metric, value }) => [metric, value]));

describe("readerOf()", () => {
  it("tells what is named of a page, by the names it is given", () => {
    assert.deepEqual(
      read({
        queue: "queue_length",
        posts: 'http_requests_total{method="post",code!="400"}',
        bad: 'sum(http_requests_total{code="400"})',
        most: "max(http_requests_total)",
        least: ' min( http_requests_total{ method = "post", code!="" } ) ',
        place: 'path{at="C:\\\\DIR\\\\"}',
        line: 'path{error="Cannot find {it}\\n"}',
      }),
      { queue: 12, posts: 1027, bad: 7, most: 1027, least: 3, place: 1500, line: 1500 },
    );
  });

  it("tells nothing of what is no number", () => {
    assert.deepEqual(
      read({ queue: "queue_length", half: "rpc_duration_seconds", weird: "something_weird" }),
      {
        queue: 12,
      },
    );
  });

  for (const [series, complaint] of [
    [
      'http_requests_total{code="400"}',
      /^Cannot read the answer: http_requests_total\{code="400"\} is there 2 times \(http_requests_total\{method="post",code="400"\}, .*\), one was wanted: name its labels, or sum\(…\)/,
    ],
    ["nobody", /there is no nobody in it/],
    ['sum(queue_length{pool="a"})', /there is no queue_length\{pool="a"\} in it/],
    ["other", /line 10 is "other\{not=looked at\} at all", "metric number" or/],
  ] as const)
    it(`refuses ${series} of this page, with the remedy`, () => {
      assert.throws(() => read({ one: series }), { code: "bad_input", message: complaint });
    });

  it("takes all of what a program tells where nothing is named", () => {
    assert.deepEqual(readerOf(undefined)("queue 3"), [{ metric: "queue", value: 3 }]);
  });

  it("gives finite numbers or refuses, whatever it is told", () => {
    const reader = readerOf({ a: "a", b: 'sum(b{c="d"})' });
    const line = fc.stringMatching(/^[ab]\{?[cd="\\,} ]{0,9} ?[0-9.eINaf+-]{0,4}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.array(line)), (text) => {
        try {
          for (const { value } of reader([text].flat().join("\n"))) assert.ok(Number.isFinite(value));
        } catch (error) {
          assert.equal((error as { code?: string }).code, "bad_input");
        }
      }),
    );
  });
});

describe("readSeries()", () => {
  for (const text of ["", "a b", "sum(a", "avg(a)", 'a{b="c"', "a{b=c}", 'a{b=~"c"}', "a}", 'a{b="c"}}', "3"])
    it(`takes ${JSON.stringify(text)} for none`, () => assert.equal(readSeries(text), undefined));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ensembleDocument, parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";

const base = `ensemble: vod
appliances:
  streaming: {command: a, cpu: {period: 40ms, execution: 24ms}, traffic: {class: gold, out: 5Mbit/s}}
  transcoding: {command: a, cpu: {period: 80ms, share: 20%}, traffic: {out: 4Mbit/s}}
  viewer: {command: a, replicas: 2}
`;

function ensemble(text: string): Ensemble {
  const parsed = parseEnsemble(text, { file: "e.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

/** The only problem of the base with `rest`. */
function problemWith(rest: string, before = base): string {
  const parsed = parseEnsemble(`${before}${rest}\n`, { file: "e.yaml" });
  const found = parsed.ok ? [] : parsed.problems.map(formatProblem);
  assert.equal(found.length, 1, found.join("\n"));
  return found[0] ?? "";
}

test("a reservation is execution time or a share of every period, and both are written as the same", () => {
  const read = ensemble(base);
  assert.deepEqual(
    read.appliances.map((spec) => spec.cpu),
    [
      { kind: "reservation", periodUs: 40_000, executionUs: 24_000 },
      { kind: "reservation", periodUs: 80_000, executionUs: 16_000 },
      undefined,
    ],
  );
  assert.equal(ensembleDocument(read).appliances["transcoding"]?.cpu, "16ms/80ms");
});

test("teams have parts of the reservation, programs, and teams of their own", () => {
  const [spec] = ensemble(`ensemble: s
appliances:
  a:
    command: x
    cpu: 24ms/40ms
    enforcement: dispatch-table
    teams:
      encoders: {cpu: 8ms/40ms, commands: [enc 1, [enc, 2]], teams: {first: {cpu: 4ms/40ms, command: y}}}
      rest: {policy: together}
`).appliances;
  assert.equal(spec?.enforcement, "dispatch-table");
  assert.deepEqual(spec.teams, [
    {
      name: "encoders",
      cpu: { kind: "reservation", periodUs: 40_000, executionUs: 8_000 },
      policy: "round-robin",
      jobs: [
        ["enc", "1"],
        ["enc", "2"],
      ],
      teams: [
        {
          name: "first",
          cpu: { kind: "reservation", periodUs: 40_000, executionUs: 4_000 },
          policy: "round-robin",
          jobs: [["y"]],
          teams: [],
        },
      ],
    },
    { name: "rest", policy: "together", jobs: [], teams: [] },
  ]);
});

test("a strategy's sentences become a rule, and a bare metric gets its monitor's name", () => {
  const { monitors, strategies, serviceClasses } = ensemble(`${base}
classes: {silver: 2, archive: {priority: 6}}
monitors:
  video: {appliance: viewer-1, rtp: 5004, every: 200ms}
  queue: {appliance: transcoding, script: cat /run/queue}
strategies:
  more:
    when: jitter > 20ms for 1s
    then: [move 6ms from transcoding to streaming, move 1Mbit/s from transcoding to streaming]
    cooldown: 10s
    rearm: 10ms
  hold: {when: queue ≥ 25%, then: {run: {in: viewer-2, command: kill -HUP 1}}}
`);
  assert.deepEqual(serviceClasses, [
    { name: "silver", priority: 2 },
    { name: "archive", priority: 6 },
  ]);
  assert.deepEqual(monitors, [
    { name: "video", appliance: "viewer-1", everyMs: 200, source: { kind: "rtp", port: 5004 } },
    {
      name: "queue",
      appliance: "transcoding",
      everyMs: 1000,
      source: { kind: "script", command: ["cat", "/run/queue"] },
    },
  ]);
  assert.deepEqual(strategies, [
    {
      name: "more",
      when: { metric: "video.jitter", comparison: ">", threshold: 20 },
      forMs: 1000,
      actions: [
        { kind: "move-cpu", executionUs: 6000, from: "transcoding", to: "streaming" },
        { kind: "move-bandwidth", bandwidthBps: 1e6, from: "transcoding", to: "streaming" },
      ],
      cooldownMs: 10_000,
      rearm: 10,
    },
    {
      name: "hold",
      when: { metric: "queue", comparison: ">=", threshold: 0.25 },
      forMs: 0,
      actions: [{ kind: "run", appliance: "viewer-2", command: ["kill", "-HUP", "1"] }],
      cooldownMs: 5000,
    },
  ]);
});

test("an adjustment holds for one appliance and leaves its siblings as declared", () => {
  const read = ensemble(`${base}
adjustments: {viewer-2: {memory: 64MiB, suspended: true}, streaming: {cpu: 32ms/40ms}}
`);
  const specs = new Map(appliancesOf(read).map(({ name, spec }) => [name as string, spec]));
  assert.deepEqual(specs.get("streaming")?.cpu, {
    kind: "reservation",
    periodUs: 40_000,
    executionUs: 32_000,
  });
  assert.deepEqual(
    [specs.get("viewer-2")?.memoryBytes, specs.get("viewer-2")?.suspended],
    [64 * 2 ** 20, true],
  );
  assert.deepEqual(
    [specs.get("viewer-1")?.memoryBytes, specs.get("viewer-1")?.suspended],
    [undefined, undefined],
  );
});

test("what was declared suspended runs when its adjustment says so", () => {
  const read = ensemble(
    "ensemble: s\nappliances: {a: {command: x, suspended: true}}\nadjustments: {a: {suspended: false}}",
  );
  assert.equal(appliancesOf(read)[0]?.spec.suspended, undefined);
});

const divided = `ensemble: vod
appliances:
  streaming:
    command: a
    cpu: 24ms/40ms
    teams:
      encoders: {cpu: 12ms/40ms, command: b, teams: {deep: {cpu: 4ms/80ms, command: c}}}
      muxers: {cpu: 6ms/40ms, command: d}
      rest: {command: e}
monitors: {queue: {appliance: streaming, script: cat /tmp/queue}}
`;
const moving = (from: string, to: string): string =>
  `strategies: {s: {when: queue > 9, then: move 2ms from ${from} to ${to}}}`;

test("teams are adjusted by their paths, and written as they were read", () => {
  const read = ensemble(`${divided}adjustments: {streaming: {teams: {encoders/deep: 6ms/80ms}}}
${moving("streaming/encoders", "streaming/muxers")}
`);
  const [streaming] = appliancesOf(read);
  const deep = streaming?.spec.teams?.[0]?.teams[0];
  assert.deepEqual(deep?.cpu, { kind: "reservation", periodUs: 80_000, executionUs: 6000 });
  assert.deepEqual(ensembleDocument(read).adjustments, {
    streaming: { teams: { "encoders/deep": "6ms/80ms" } },
  });
});

test("what is adjusted of teams that are not there, or moved where nothing can be, is refused at its place", () => {
  const told = (rest: string): string => problemWith(rest, divided);
  assert.match(
    told("adjustments: {streaming: {teams: {encoder: 6ms/40ms}}}"),
    /adjustments\.streaming\.teams\.encoder: no team "encoder"; did you mean "encoders"\?/,
  );
  assert.match(
    told("adjustments: {streaming: {teams: {muxers: 14ms/40ms}}}"),
    /adjustments\.streaming\.teams: its teams reserve 65% of a processor, "streaming" only 60%/,
  );
  assert.match(told("adjustments: {streaming: {teams: {muxers: 10%}}}"), /a team's part is CPU time/);
  assert.match(told(moving("streaming/encoders", "streaming/mux")), /no team "mux"/);
  assert.match(told(moving("streming/encoders", "streaming/muxers")), /no appliance "streming"/);
  assert.match(told(moving("streaming/encoders/deep", "streaming/muxers")), /not teams side by side/);
  assert.match(told(moving("streaming/encoders", "streaming")), /not teams side by side/);
  assert.match(told(moving("streaming/muxers", "streaming/muxers")), /to itself nothing moves/);
  assert.match(told(moving("streaming/muxers", "streaming/rest")), /team "rest" has no reservation/);
});

const video = "monitors: {video: {appliance: viewer-1, rtp: 5004}}\n";
const refusals: readonly (readonly [string, string, RegExp])[] = [
  [
    "a metric no monitor gives",
    `${video}strategies: {a: {when: jiter > 20ms, then: suspend viewer-1}}`,
    /^e\.yaml:7:24 strategies\.a\.when: no monitor gives "jiter"; did you mean "jitter"\?$/,
  ],
  [
    "a metric its monitor does not give",
    `${video}strategies: {a: {when: video.lost > 2%, then: suspend viewer-1}}`,
    /no monitor gives "video\.lost"; did you mean "video\.loss"\?/,
  ],
  [
    "a metric without any monitor",
    "strategies: {a: {when: jitter > 2ms, then: suspend viewer-1}}",
    /nothing measures "jitter"; declare a monitor, such as/,
  ],
  [
    "a metric two monitors give",
    "monitors: {x: {appliance: viewer-1, rtp: 1}, y: {appliance: viewer-2, rtp: 1}}\nstrategies: {a: {when: loss > 2%, then: suspend viewer-1}}",
    /x\.loss and y\.loss are both "loss"; write x\.loss/,
  ],
  [
    "a condition that is none",
    `${video}strategies: {a: {when: jitter is high, then: suspend viewer-1}}`,
    /expected METRIC > THRESHOLD, perhaps for DURATION, not "jitter is high"; write video/,
  ],
  [
    "a duration that is none",
    `${video}strategies: {a: {when: jitter > 20ms for 1, then: suspend viewer-1}}`,
    /expected a duration .* after "for", not "1"; write 1s or 1ms/,
  ],
  [
    "an action that is none",
    `${video}strategies: {a: {when: jitter > 20ms, then: give streaming more}}`,
    /strategies\.a\.then: no action: "give streaming more"; write move 8ms from a to b/,
  ],
  [
    "an action on an unknown appliance",
    `${video}strategies: {a: {when: jitter > 20ms, then: [suspend veiwer-1]}}`,
    /no appliance "veiwer-1"; did you mean "viewer-1"\?/,
  ],
  [
    "an action on several replicas",
    `${video}strategies: {a: {when: jitter > 20ms, then: suspend viewer}}`,
    /"viewer" has 2 replicas, and one of them is meant; write viewer-1/,
  ],
  [
    "a move from what has no reservation",
    `${video}strategies: {a: {when: jitter > 20ms, then: move 8ms from viewer-1 to streaming}}`,
    /"viewer-1" has no reservation of CPU time that could change; write cpu:/,
  ],
  [
    "a move of bandwidth that is not promised",
    `${video}strategies: {a: {when: jitter > 20ms, then: move 1Mbit/s from viewer-1 to streaming}}`,
    /viewer-1 and streaming are not both promised bandwidth in one direction; write traffic:/,
  ],
  [
    "a threshold without the unit of its metric",
    `${video}strategies: {a: {when: jitter > 20, then: suspend viewer-1}}`,
    /strategies\.a\.when: expected a duration such as 20ms, not "20"; write 20ms or 20s$/,
  ],
  [
    "a threshold in another unit than its metric's",
    `${video}strategies: {a: {when: loss > 20ms, then: suspend viewer-1}}`,
    /expected a share such as 2% or 0\.02, not "20ms"; write 2%$/,
  ],
  [
    "more loss than there can be",
    `${video}strategies: {a: {when: loss > 2, then: suspend viewer-1}}`,
    /not "2"; write 2%$/,
  ],
  [
    "a rate in percent",
    `${video}strategies: {a: {when: frame-rate < 20%, then: suspend viewer-1}}`,
    /expected so many a second, such as 25\/s, not "20%"/,
  ],
  [
    "a value to rearm at without the unit of its metric",
    `${video}strategies: {a: {when: jitter > 20ms, rearm: 10, then: suspend viewer-1}}`,
    /strategies\.a\.rearm: expected a duration such as 20ms, not "10"; write 10ms or 10s$/,
  ],
  [
    "a move of more than the giver has",
    `${video}strategies: {a: {when: jitter > 20ms, then: move 9ms from transcoding to streaming}}`,
    /a\.then: it can never be done: transcoding has 16ms of 80ms, and giving 9ms per 40ms leaves nothing; move less$/,
  ],
  [
    "a move of more bandwidth than the giver has",
    `${video}strategies: {a: {when: jitter > 20ms, then: move 4Mbit/s from transcoding to streaming}}`,
    /a\.then: it can never be done: transcoding has 4Mbit\/s, and giving 4Mbit\/s leaves nothing/,
  ],
  [
    "a monitor of nothing",
    "monitors: {video: {appliance: viewer-1}}",
    /what it measures is not said; write one of rtp/,
  ],
  [
    "a monitor of two things",
    "monitors: {video: {appliance: viewer-1, rtp: 1, http: 'http://a/'}}",
    /it measures one thing only/,
  ],
  [
    "named metrics of a monitor that knows its own",
    "monitors: {video: {appliance: viewer-1, rtp: 1, metrics: {a: b}}}",
    /video\.metrics: only of what a program or page tells metrics can be named; leave metrics out/,
  ],
  [
    "a metric that is no metric of a page",
    "monitors: {web: {appliance: viewer-1, http: 'http://a/', metrics: {errors: 'avg(x)'}}}",
    /web\.metrics\.errors: expected a metric of the page, such as .*, not "avg\(x\)"/,
  ],
  [
    "no metric at all",
    "monitors: {web: {appliance: viewer-1, http: 'http://a/', metrics: {}}}",
    /web\.metrics: expected at least one metric/,
  ],
  [
    "a strategy on a metric that is not named",
    `monitors: {web: {appliance: viewer-1, http: 'http://a/', metrics: {errors: 'e{code="500"}'}}}
strategies: {a: {when: web.error > 2, then: suspend viewer-1}}`,
    /no monitor gives "web\.error"; did you mean "web\.errors"\?/,
  ],
  [
    "a monitor of an unknown appliance",
    "monitors: {v: {appliance: vewer-1, rtp: 1}}",
    /did you mean "viewer-1"/,
  ],
  [
    "a monitor of a reservation that is none",
    "monitors: {v: {appliance: viewer-1, scheduling: true}}",
    /"viewer-1" has no reservation of CPU time to be measured; write cpu:/,
  ],
  [
    "a class that is always there",
    "classes: {gold: 1}",
    /^e\.yaml:6:11 classes\.gold: "gold" is always there, with/,
  ],
  ["a class beyond the last", "classes: {last: 8}", /expected a priority from 0 .* to 7, not 8/],
  [
    "an adjustment of nobody",
    "adjustments: {viewer-3: {suspended: true}}",
    /^e\.yaml:6:15 adjustments\.viewer-3: no appliance "viewer-3"; did you mean "viewer-1"\?/,
  ],
  [
    "a ceiling below what links promise",
    "  capped: {command: a, traffic: {outCeiling: 9Mbit/s}}\nlinks: [{between: [capped, viewer], bandwidth: 5Mbit/s}]",
    /capped\.traffic\.outCeiling: its links promise 10Mbit\/s, more than the ceiling/,
  ],
  [
    "an adjustment to another kind of promise",
    "adjustments: {streaming: {cpu: 50%}}",
    /adjustments\.streaming\.cpu: a share of CPU, but CPU time per period is declared; write one such as 16ms\/40ms/,
  ],
];
for (const [what, rest, expected] of refusals) {
  test(`${what} is refused at its place`, () => assert.match(problemWith(rest), expected));
}

const single: readonly (readonly [string, string, RegExp])[] = [
  [
    "teams with more than the whole",
    "cpu: 16ms/40ms, teams: {x: {cpu: 10ms/40ms}, y: {cpu: 20ms/80ms}}",
    /its teams reserve 50% of a processor, "a" only 40% \(16ms\/40ms\); give a 20ms\/40ms, or its teams less/,
  ],
  [
    "inner teams with more than the outer one",
    "cpu: 16ms/40ms, teams: {x: {cpu: 8ms/40ms, teams: {y: {cpu: 9ms/40ms}}}}",
    /teams\.x\.teams: its teams reserve 22\.5% of a processor, "x" only 20%/,
  ],
  [
    "teams with parts of nothing",
    "teams: {x: {cpu: 8ms/40ms}}",
    /parts of a reservation that "a" does not have; write cpu: 8ms\/40ms at a/,
  ],
  [
    "a team with a share",
    "cpu: 16ms/40ms, teams: {x: {cpu: 10%}}",
    /write 8ms\/40ms or \{period: 40ms, share: 20%\}/,
  ],
  ["a way to keep nothing", "enforcement: deadline", /none is asked for; write cpu: \{period: 40ms/],
  [
    "a table for more than a processor",
    "cpu: 60ms/40ms, enforcement: dispatch-table",
    /at most one processor's worth, 60ms\/40ms is more; write enforcement: bandwidth/,
  ],
  [
    "an unknown class",
    "traffic: {class: god, out: 1Mbit/s}",
    /no service class "god"; did you mean "gold"\?/,
  ],
  [
    "a ceiling below what is promised",
    "traffic: {out: 2Mbit/s, outCeiling: 1Mbit/s}",
    /a\.traffic\.outCeiling: the ceiling is below the bandwidth it promises/,
  ],
  [
    "a period alone",
    "cpu: {period: 40ms}",
    /appliances\.a\.cpu: how much of its period is not said; add execution: 16ms or share: 40%$/,
  ],
  [
    "a period with both execution and share",
    "cpu: {period: 40ms, execution: 8ms, share: 20%}",
    /cpu: execution and share of one period are both given; leave one of them out$/,
  ],
  [
    "a period with a limit",
    "cpu: {period: 40ms, execution: 8ms, limit: 20%}",
    /cpu: a limit goes with a share alone, not with a period; leave limit out$/,
  ],
  ["an execution time alone", "cpu: {execution: 8ms}", /an execution time without its period; add period/],
  ["a limit alone", "cpu: {limit: 80%}", /a limit without a share that is guaranteed; add share: 40%$/],
  [
    "a duration where its period is missing",
    "cpu: 16ms",
    /cpu: expected a share of CPU .* or CPU time per period such as 16ms\/40ms, not "16ms"; write 16ms\/40ms$/,
  ],
  [
    "teams of what has no reservation",
    "teams: {x: {command: y}}",
    /appliances\.a\.teams: "a" has no CPU time per period that its teams could have parts of; write cpu: 16ms\/40ms there$/,
  ],
  [
    "teams of a share",
    "cpu: 40%, teams: {x: {command: y}}",
    /teams: "a" has a share of CPU without a period that its teams/,
  ],
  [
    "taking turns by deadline",
    "cpu: 16ms/40ms, enforcement: deadline, teams: {x: {commands: [y, z]}}",
    /teams\.x: its programs are to take turns, which enforcement by deadline cannot .*; write policy: together/,
  ],
  [
    "taking turns on several processors",
    "cpu: 60ms/40ms, teams: {x: {commands: [y, z]}}",
    /which enforcement by bandwidth cannot make them do/,
  ],
  [
    "a team in a table with a shorter period",
    "cpu: 8ms/40ms, enforcement: dispatch-table, teams: {t: {cpu: 4ms/30ms}}",
    /teams\.t\.cpu: a period of 30ms is shorter than the 40ms .*; write 4ms\/40ms for t, or a multiple of 40ms$/,
  ],
  [
    "teams in a table whose periods are cut to its own",
    "cpu: 8ms/40ms, enforcement: dispatch-table, teams: {t: {cpu: 5ms/60ms}, u: {cpu: 4ms/40ms}}",
    /teams: "a" cannot be divided: its teams \(t, u\) have more .*; give a 9ms\/40ms, or its teams periods that are multiples of 40ms$/,
  ],
  [
    "a period too long",
    "cpu: {period: 4s, execution: 1s}",
    /cpu\.period: expected a period between 1ms and 1s/,
  ],
];
for (const [what, rest, expected] of single) {
  test(`${what} is refused`, () =>
    assert.match(problemWith("", `ensemble: s\nappliances: {a: {command: x, ${rest}}}`), expected));
}

test("a move may wait for what another strategy, or a resize since, gives the giver", () => {
  const move = "a: {when: jitter > 20ms, then: move 9ms from transcoding to streaming}";
  const back = "b: {when: jitter < 2ms, then: move 4ms from streaming to transcoding}";
  assert.equal(ensemble(`${base}${video}strategies: {${move}, ${back}}`).strategies?.length, 2);
  const resized = "adjustments: {transcoding: {cpu: 32ms/80ms}}";
  assert.equal(ensemble(`${base}${video}strategies: {${move}}\n${resized}`).strategies?.length, 1);
});

test("strategies of a wrong form do not hide what else is wrong", () => {
  const parsed = parseEnsemble(
    `${base}${video}strategies: {a: {when: jitter > 20ms}, b: {when: jitter > 20ms, then: suspend veiwer-1}}`,
    { file: "e.yaml" },
  );
  assert.deepEqual(parsed.ok ? [] : parsed.problems.map(formatProblem), [
    "e.yaml:7:14 strategies.a.then: missing: expected an action: move 8ms from a to b, move 1Mbit/s from a to b, suspend a, resume a, or {run: {in: a, command: …}}",
    'e.yaml:7:71 strategies.b.then: no appliance "veiwer-1"; did you mean "viewer-1"?',
  ]);
});

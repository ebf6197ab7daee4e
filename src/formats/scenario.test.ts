import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem } from "#formats/problem.ts";
import type { Scenario } from "#formats/scenario-content.ts";
import { parseScenario } from "#formats/scenario.ts";

function parsed(text: string): Scenario {
  const result = parseScenario(text, { file: "s.yaml" });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.value;
}

function problems(text: string): string[] {
  const result = parseScenario(text, { file: "s.yaml" });
  return result.ok ? [] : result.problems.map(formatProblem);
}

const head = "scenario: s\nduration: 10m\n";

test("what a scenario leaves out has plain defaults", () => {
  const scenario = parsed(head);
  assert.equal(scenario.durationMs, 600_000);
  assert.equal(scenario.seed, 1);
  assert.deepEqual(scenario.policy, { placement: "spread", consolidate: false });
  assert.deepEqual(scenario.report, ["chart", "table", "events", "operations"]);
  assert.ok(scenario.cloud.kind === "topology" && scenario.cloud.topology.hosts.length === 4);
});

test("a cloud is so many hosts at so many sites, hosts by name, a topology or a file", () => {
  const cloud = (text: string) => parsed(`${head}cloud: ${text}\n`).cloud;
  const counted = cloud("{hosts: 3, sites: 2, cpu: 800%, memory: 32GiB, uplink: 10Gbit/s}");
  assert.ok(counted.kind === "topology");
  assert.deepEqual(
    counted.topology.hosts.map((host) => host.id),
    ["a1", "a2", "a3", "b1", "b2", "b3"],
  );
  assert.ok(counted.topology.hosts.every((host) => host.cpuMilli === 8000));
  assert.equal(counted.topology.links.find((link) => link.a === "a1")?.bandwidthBps, 1e10);
  const named = cloud("{hosts: [x, y]}");
  assert.ok(named.kind === "topology");
  assert.deepEqual(
    named.topology.hosts.map((host) => host.id),
    ["x", "y"],
  );
  assert.deepEqual(cloud("{topology: rack.yaml}"), { kind: "topology-file", file: "rack.yaml" });
  assert.deepEqual(cloud("{snapshot: cloud.json}"), { kind: "snapshot-file", file: "cloud.json" });
  const inline = cloud("{topology: {sites: {alpha: {hosts: {h1: {}}}}}}");
  assert.ok(inline.kind === "topology" && inline.topology.hosts[0]?.id === "h1");
});

test("steps are put in order of time, and several in one are several", () => {
  const { steps } = parsed(
    `${head}steps:\n  - {at: 20s, down: [x, y]}\n  - {at: 10s, up: x.yaml}\n  - {at: 20s, expect: [x gone, running 0]}\n`,
  );
  assert.deepEqual(
    steps.map((step) => [step.atMs, step.kind]),
    [
      [10_000, "up"],
      [20_000, "down"],
      [20_000, "down"],
      [20_000, "expect"],
      [20_000, "expect"],
    ],
  );
});

test("every kind of fault has a word", () => {
  const { steps } = parsed(`${head}steps:
  - {at: 1s, crash: host/a1, for: 5s}
  - {at: 1s, crashAtCall: {process: cluster/1, call: 3, effect: done}}
  - {at: 1s, pause: cluster/1, for: 20s}
  - {at: 1s, powerLoss: a1, for: 1m}
  - {at: 1s, cut: {from: host/a1, to: "*"}, for: 5s}
  - {at: 1s, noise: {lost: 0.1, doubled: 0.2, delay: 100ms}, for: 5s}
  - {at: 1s, slowDisk: a1, delay: 200ms, for: 5s}
  - {at: 1s, fullDisk: store, for: 5s}
  - {at: 1s, storeDown: true, for: 5s}
  - {at: 1s, clockSkew: {place: a1, jump: -5s, driftPpm: 100}, for: 5s}
  - {at: 1s, partition: a2, for: 5s}
`);
  const faults = steps.map((step) => (step.kind === "fault" ? step.fault : undefined));
  assert.deepEqual(
    faults.map((fault) => fault?.kind),
    [
      ..."crash crash-at-call pause power-loss cut noise slow-disk full-disk store-down clock-skew".split(
        " ",
      ),
      "cut",
      "cut",
    ],
  );
  assert.deepEqual(faults[0], { kind: "crash", atMs: 1000, process: "host/a1", downForMs: 5000 });
  assert.deepEqual(faults[9], {
    kind: "clock-skew",
    atMs: 1000,
    place: "a1",
    jumpMs: -5000,
    driftPpm: 100,
    forMs: 5000,
  });
});

test("expectations are sentences", () => {
  const sentences = [
    "task2 on b",
    "shop/web-1 not on a1",
    "running 5",
    "no recovery",
    "2 recoveries",
    "host a1 lost",
    "drain a1 cancelled",
    "task1 gone",
    "task3 gets 100%",
    "web fenced",
  ];
  const { steps } = parsed(`${head}steps:\n  - {at: 1s, expect: ${JSON.stringify(sentences)}}\n`);
  assert.deepEqual(
    steps.map((step) => (step.kind === "expect" ? step.expectation.kind : "")),
    "placed placed count recoveries recoveries host operation gone cpu state".split(" "),
  );
});

test("beside what is asked of the managers, and nowhere else, stands that they refuse it", () => {
  const { steps } = parsed(`${head}steps:
  - {at: 1s, cordon: [a1, a2], expect: refused}
  - {at: 2s, down: shop, expect: refused}
  - {at: 3s, down: shop}
  - {at: 4s, expect: [forget a1 refused, cancel shop refused]}
`);
  assert.deepEqual(
    steps.map((step) => [step.kind, step.expectRefused]),
    [
      ["host", true],
      ["host", true],
      ["down", true],
      ["down", undefined],
      ["expect", undefined],
      ["expect", undefined],
    ],
  );
  const alone = (step: string) => problems(`${head}steps:\n  - ${step}\n`)[0] ?? "";
  assert.match(alone("{at: 1s, expect: refused}"), /expected a sentence/);
  assert.match(alone("{at: 1s, powerLoss: a1, expect: refused}"), /are two steps/);
  assert.match(alone("{at: 1s, down: x, expect: x gone}"), /down and expect are two steps/);
});

test("demand is a constant, steps, a sine, a trace or drawn", () => {
  const { demand } = parsed(`${head}demand:
  - {of: a, constant: 150%}
  - {of: b, steps: [[0s, 10%], [5m, 90%]]}
  - {of: c, sine: {mean: 50%, amplitude: 20%}}
  - {of: d, trace: {from: planetlab.tar.gz, full: 250%}}
  - {of: "*", synthetic: {median: 20}}
`);
  assert.deepEqual(
    demand.map((rule) => rule.curve.kind),
    ["constant", "steps", "sine", "trace", "synthetic"],
  );
  const last = demand[4]?.curve;
  assert.ok(last?.kind === "synthetic" && last.shape.median === 20 && last.shape.memory === 0.07);
});

test("problems are told at line and column, with what may have been meant", () => {
  assert.deepEqual(problems("scenario: s\nduration: 10\n"), [
    "s.yaml:2:11 duration: expected a duration such as 16ms, 2s or 1m30s, not 10; write 10s or 10ms",
  ]);
  assert.match(problems(`${head}steps:\n  - {at: 1s, crashh: host/a1}\n`)[0] ?? "", /s\.yaml:4:14.*"crash"/);
  assert.match(
    problems(`${head}steps:\n  - {at: 1s, up: a.yaml, down: b}\n`)[0] ?? "",
    /up and down are two steps/,
  );
  assert.match(problems(`${head}steps:\n  - {at: 1s}\n`)[0] ?? "", /what happens is not said/);
  assert.match(
    problems(`${head}steps:\n  - {at: 11m, down: b}\n`)[0] ?? "",
    /s\.yaml:4:10 steps\[0\]\.at: the run ends at 10m/,
  );
  assert.match(
    problems(`${head}steps:\n  - {at: 1s, expect: web is fine}\n`)[0] ?? "",
    /expected a sentence/,
  );
  assert.match(
    problems(`${head}steps:\n  - {at: 1s, down: b, for: 3s}\n`)[0] ?? "",
    /for belongs to a fault/,
  );
  assert.match(problems(`${head}cloud: {hosts: 2, topology: x.yaml}\n`)[0] ?? "", /two clouds/);
  assert.match(problems(`${head}cloud: {cpu: 100%}\n`)[0] ?? "", /cpu goes with hosts/);
  assert.match(
    problems(`${head}load:\n  - {ensemble: x.yaml, rate: often}\n`)[0] ?? "",
    /a rate such as 2\/min/,
  );
  assert.match(
    problems(`${head}demand:\n  - {of: a, constant: 1, sine: {mean: 1, amplitude: 1}}\n`)[0] ?? "",
    /two demands/,
  );
});

test("an ensemble written in a step has its problems at their own places", () => {
  const found = problems(`${head}steps:
  - at: 1s
    up:
      ensemble: x
      appliances:
        web: {command: sleep 1}
      links:
        - {between: [web, db]}
`);
  assert.match(found[0] ?? "", /s\.yaml:\d+:\d+ steps\[0\]\.up\.links\[0\]\S*: no appliance "db"/);
});

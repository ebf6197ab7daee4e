import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { formatProblem } from "#formats/problem.ts";
import { parseScenario } from "#formats/scenario.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Play, PlayStep } from "#sim/scenario/play.ts";
import { playScenario } from "#sim/scenario/run.ts";
import { shrinkPlay } from "#sim/scenario/shrink.ts";

const { signal } = new AbortController();

function play(text: string, fields: Partial<Play> = {}): Play {
  const parsed = parseScenario(`scenario: s\n${text}`, { file: "s.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  const { cloud, steps, demand, load: _load, ...scenario } = parsed.value;
  assert.ok(cloud.kind === "topology");
  return {
    ...scenario,
    topology: cloud.topology,
    load: [],
    demand: demand.flatMap(({ of, curve }) => (curve.kind === "trace" ? [] : [{ of, curve }])),
    steps: steps.flatMap((step): PlayStep[] => {
      if (step.kind !== "up") return [step];
      return step.ensemble.kind === "inline" ? [{ ...step, ensemble: step.ensemble.ensemble }] : [];
    }),
    ...fields,
  };
}

const shop = (replicas: number): string =>
  `{ensemble: shop, appliances: {web: {command: stay, cpu: 100%, replicas: ${replicas}}}}`;

test("equal plays are equal to the last event, and another seed is another run", async () => {
  const one = play(`duration: 20s\ncloud: {hosts: 2}\nsteps:\n  - {at: 5s, up: ${shop(3)}}\n`);
  const [a, b, c] = [
    await playScenario(one, { signal }),
    await playScenario(one, { signal }),
    await playScenario({ ...one, seed: 2 }, { signal }),
  ];
  assert.equal(a.traceHash, b.traceHash);
  assert.deepEqual(a.told, b.told);
  assert.notEqual(a.traceHash, c.traceHash);
});

test("every sentence is denied, with what is so instead, when it is not so", async () => {
  const sentences = [
    "web-1 on z",
    "web-1 not on a",
    "running 5",
    "fenced 1",
    "shop fenced",
    "shop gone",
    "web-1 gets 300%",
    "1 recovery",
    "up shop failed",
    "up shop refused",
    "down shop done",
    "host a lost",
    "host a cordoned",
    "host b open",
    "host q ready",
    "nobody running",
  ];
  const { verdicts } = await playScenario(
    play(`duration: 20s
cloud: {hosts: [a, b]}
steps:
  - {at: 1s, cordon: b}
  - {at: 5s, up: ${shop(2)}}
  - {at: 15s, expect: ${JSON.stringify(sentences)}}
  - {at: 16s, expect: [web-1 on a, shop running, running 2, no recovery, up shop done, host b cordoned, host a ready, nobody gone]}
`),
    { signal },
  );
  const wrong = verdicts.filter(({ met }) => !met);
  assert.deepEqual(
    wrong.map(({ text }) => text),
    sentences,
  );
  assert.equal(wrong[0]?.found, "shop/web-1 is on a");
  assert.equal(wrong.find(({ text }) => text === "host a lost")?.found, "it is ready, open, clean");
});

test("the name that replicas share stands for all of them, also once they are no longer wanted", async () => {
  const { verdicts } = await playScenario(
    play(`duration: 30s
cloud: {hosts: [a, b]}
demand: [{of: shop/web, constant: 50%}]
steps:
  - {at: 1s, cordon: b}
  - {at: 5s, up: ${shop(3)}}
  - {at: 14s, expect: [web on a, shop/web running, web gets 150%, web on b, web gone]}
  - {at: 15s, down: shop}
  - {at: 25s, expect: web gone}
`),
    { signal },
  );
  assert.deepEqual(
    verdicts.map(({ met, found }) => found ?? met),
    [true, true, true, "shop/web-1 is on a", "shop/web-1 is running", true],
  );
});

test("users ask again until a manager answers", async () => {
  const result = await playScenario(
    play(`duration: 40s
cloud: {hosts: 2}
steps:
  - {at: 5s, crash: cluster/1, for: 10s}
  - {at: 6s, up: ${shop(2)}}
  - {at: 35s, expect: [running 2, up shop done]}
`),
    { signal },
  );
  assert.deepEqual(
    result.verdicts.map(({ met, found }) => found ?? met),
    [true, true],
  );
  assert.equal(result.asked.filter(({ verb }) => verb === "up").length, 1);
  assert.equal(result.asked[0]?.state, "answered");
});

test("what is refused is told with its reason", async () => {
  const result = await playScenario(
    play(
      `duration: 10s\ncloud: {hosts: 1, cpu: 100%}\nsteps:\n  - {at: 2s, up: ${shop(3)}}\n  - {at: 5s, cancel: shop}\n`,
    ),
    { signal },
  );
  assert.deepEqual(
    result.asked.map(({ verb, state }) => `${verb} ${state}`),
    ["up refused", "cancel refused"],
  );
  assert.match(result.asked[0]?.message ?? "", /Cannot bring up shop/);
});

test("interrupted, it tells what it saw so far", async () => {
  const stop = new AbortController();
  const result = await playScenario(
    play(`duration: 1h\ncloud: {hosts: 1}\nsteps:\n  - {at: 5s, up: ${shop(1)}}\n`),
    { signal: stop.signal, onProgress: (atMs) => void (atMs > 60_000 && stop.abort()) },
  );
  assert.ok(result.interrupted);
  assert.ok(result.simulatedMs > 60_000 && result.simulatedMs < 600_000, String(result.simulatedMs));
  assert.ok(result.decisions.length > 0);
});

test("busy appliances share a host in proportion to what they are promised", async () => {
  const { verdicts } = await playScenario(
    play(`duration: 20s
cloud: {hosts: [a], cpu: 400%}
demand: [{of: idle, constant: 10%}, {of: "*", constant: 400%}]
steps:
  - at: 1s
    up:
      ensemble: x
      appliances:
        large: {command: stay, cpu: {share: 200%, limit: 400%}}
        small: {command: stay, cpu: {share: 100%, limit: 400%}}
        idle: {command: stay, cpu: 50%}
        bounded: {command: stay, cpu: 20%}
  - {at: 10s, expect: [large gets 246.7%, small gets 123.3%, idle gets 10%, bounded gets 20%]}
`),
    { signal },
  );
  assert.deepEqual(
    verdicts.filter(({ met }) => !met),
    [],
  );
});

test("a broken invariant ends the run, and only the faults it takes are left", async () => {
  const broken = play(`duration: 2m
cloud: {hosts: [a, b]}
steps:
  - {at: 5s, up: ${shop(2)}}
  - {at: 10s, slowDisk: b, for: 5s}
  - {at: 20s, partition: a, for: 30s}
  - {at: 21s, clockSkew: {place: b, jump: 1s}, for: 5s}
`);
  const settings = { machinesObeyLeases: false };
  const result = await playScenario(broken, { signal, settings });
  assert.equal(result.breach?.invariant, "runs-once");
  assert.ok(result.simulatedMs < 60_000);
  assert.ok(result.breach !== undefined);
  const needed = await shrinkPlay(broken, result.breach, { signal, settings, runs: 30 });
  assert.ok(needed.length > 0 && needed.every(({ kind }) => kind === "cut"), JSON.stringify(needed));
  assert.equal((await playScenario(broken, { signal })).breach, undefined, "with leases it holds");
});

/** Of a cloud, of hosts a and b unless told, where four web of shop run. */
async function snapshotOfShop(
  hosts = "cloud: {hosts: [a, b]}\n",
  ensemble = shop(4),
): Promise<CloudSnapshot> {
  const begun = play(`duration: 20s\n${hosts}steps:\n  - {at: 5s, up: ${ensemble}}\n`);
  const cloud = new SimulatedCloud({ topology: begun.topology, seed: 1 });
  cloud.start();
  const [step] = begun.steps;
  assert.ok(step?.kind === "up");
  await cloud.runUntil(5000);
  const up = cloud.client.ask("up", "shop", (service, stop) => service.up(step.ensemble, stop));
  await cloud.runUntil(20_000);
  assert.equal(up.state, "answered", String(up.error));
  const call = cloud.client.ask("snapshot", "", (service, stop) => service.snapshot(stop));
  await cloud.runUntil(21_000);
  return call.answer as CloudSnapshot;
}

test("what if: from a snapshot of a cloud, its appliances run on, and the loss of a host is played on it", async () => {
  const snapshot = await snapshotOfShop();
  assert.equal(snapshot.ensembles[0]?.ensemble.name, ensembleName("shop"));

  const result = await playScenario(
    play(
      `duration: 1m
steps:
  - {at: 9s, expect: [running 4, no recovery]}
  - {at: 10s, powerLoss: a, for: 10m}
  - {at: 30s, expect: [running 4, web-1 on b, web-2 on b, 1 recovery]}
`,
      { topology: snapshot.topology, snapshot, durationMs: millis(60_000) },
    ),
    { signal },
  );
  assert.deepEqual(
    result.verdicts.filter(({ met }) => !met),
    [],
  );
  assert.equal(result.breach, undefined);
});

test("the example made for a running cloud goes as it expects on the default lab, whatever runs there", async () => {
  const file = join(import.meta.dirname, "../../../examples/lose-b2.scenario.yaml");
  const parsed = parseScenario(readFileSync(file, "utf8"), { file });
  assert.ok(parsed.ok);
  const { steps, durationMs } = parsed.value;
  const snapshot = await snapshotOfShop("", shop(4).replace("100%", "20%"));
  const placed: readonly string[] = Object.values(snapshot.ensembles[0]?.placements ?? {});
  assert.ok(placed.includes("b2"), JSON.stringify(snapshot.ensembles));
  const result = await playScenario(
    play("duration: 2m\n", {
      topology: snapshot.topology,
      snapshot,
      durationMs,
      steps: steps.flatMap((step): PlayStep[] => (step.kind === "up" ? [] : [step])),
    }),
    { signal },
  );
  assert.equal(result.breach, undefined, result.breach?.message);
  assert.deepEqual(
    result.verdicts.map(({ met, found }) => found ?? met),
    steps.flatMap(({ kind }) => (kind === "expect" ? [true] : [])),
  );
  assert.equal(result.operations.filter(({ kind }) => kind === "recover").length, 1);
});

test("what a snapshot brought counts as acknowledged: refused or made, a change of it breaks nothing", async () => {
  const snapshot = await snapshotOfShop();
  const result = await playScenario(
    play(
      `duration: 1m
steps:
  - {at: 9s, up: ${shop(400)}}
  - {at: 12s, expect: [running 4, up shop refused]}
  - {at: 20s, up: ${shop(3)}}
  - {at: 40s, expect: running 3}
  - {at: 41s, down: shop}
  - {at: 55s, expect: running 0}
`,
      { topology: snapshot.topology, snapshot, durationMs: millis(60_000) },
    ),
    { signal },
  );
  assert.equal(result.breach, undefined, result.breach?.message);
  assert.deepEqual(
    result.verdicts.filter(({ met }) => !met),
    [],
  );
  assert.deepEqual(
    result.asked.map(({ verb, state }) => `${verb} ${state}`),
    ["up refused", "up answered", "down answered"],
  );
});

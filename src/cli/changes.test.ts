import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { consort, json, nowMs, refuse, testApi } from "#cli/cli.fixture.ts";
import { newPart } from "#cli/logs.ts";
import { defaultLabTopology, topologyDocument } from "#formats/topology.ts";
import type { OfflinePlan } from "#planner/offline.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

const shop = "ensemble: shop\nappliances:\n  web:\n    command: [sleep, inf]\n";

const operation = (changes: Partial<Operation>): Operation => ({
  id: "op-1",
  kind: "up",
  ensemble: "shop",
  state: "running",
  phase: "accepted",
  progress: { done: 0, total: 2 },
  message: "",
  createdAtMs: nowMs,
  ...changes,
});

async function inFolder<Result>(act: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), "consort-cli-"));
  try {
    await writeFile(join(folder, "shop.yaml"), shop);
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("up sends the ensemble, shows each phase once and ends with what runs", async () => {
  const steps = [
    operation({ phase: "starting" }),
    operation({ phase: "starting", progress: { done: 1, total: 2 }, message: "waiting for web-2" }),
    operation({ phase: "starting", progress: { done: 1, total: 2 }, message: "waiting for web-2" }),
    operation({
      state: "done",
      phase: "connecting",
      progress: { done: 2, total: 2 },
      endedAtMs: nowMs + 840,
    }),
  ];
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json(operation({}), 202),
    "GET /v1/operations/op-1": (asked, response) => json(steps.shift())(asked, response),
  });
  const outcome = await inFolder((folder) => consort(["up", join(folder, "shop.yaml")], { url: api.url }));
  assert.deepEqual(outcome, {
    exit: 0,
    out: "shop runs: 2 of 2 ready in 0.84 s\n",
    err: "up shop: accepted\nup shop: starting 0/2\nup shop: starting 1/2: waiting for web-2\n",
  });
  assert.deepEqual(api.asked[0]?.body, {
    ensemble: "shop",
    appliances: { web: { command: ["sleep", "inf"] } },
  });
});

test("Ctrl-C during up cancels the operation and says what holds now", async () => {
  const stop = new AbortController();
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json(operation({}), 202),
    "GET /v1/operations/op-1": () => stop.abort(new Error("interrupted")),
    "DELETE /v1/operations/op-1": json(operation({ state: "cancelled" })),
  });
  const outcome = await inFolder((folder) =>
    consort(["up", join(folder, "shop.yaml")], { url: api.url, interrupt: stop.signal }),
  );
  assert.equal(outcome.exit, 1);
  assert.match(outcome.err, /cancelling up shop/);
  assert.match(outcome.err, /what was desired of shop before holds again/);
  assert.deepEqual(
    api.asked.map(({ method }) => method),
    ["PUT", "GET", "DELETE"],
  );
});

test("Ctrl-C that comes when up has just ended reports the end", async () => {
  const stop = new AbortController();
  let looks = 0;
  const done = operation({ state: "done", progress: { done: 2, total: 2 }, endedAtMs: nowMs + 500 });
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json(operation({}), 202),
    "GET /v1/operations/op-1": (asked, response) => {
      looks += 1;
      if (looks === 1) stop.abort(new Error("interrupted"));
      else json(done)(asked, response);
    },
    "DELETE /v1/operations/op-1": refuse("conflict", 409, "Cannot cancel: it has ended"),
  });
  const outcome = await inFolder((folder) =>
    consort(["up", join(folder, "shop.yaml")], { url: api.url, interrupt: stop.signal }),
  );
  assert.equal(outcome.exit, 0);
  assert.equal(outcome.out, "shop runs: 2 of 2 ready in 0.50 s\n");
});

test("Ctrl-C during down leaves the removal to the manager and says so", async () => {
  const stop = new AbortController();
  await using api = await testApi({
    "DELETE /v1/ensembles/shop": json(operation({ kind: "down" }), 202),
    "GET /v1/operations/op-1": () => stop.abort(new Error("interrupted")),
  });
  const outcome = await consort(["down", "shop"], { url: api.url, interrupt: stop.signal });
  assert.equal(outcome.exit, 1);
  assert.match(outcome.err, /the removal of shop was accepted and goes on/);
  assert.ok(!api.asked.some(({ url, method }) => method === "DELETE" && url.includes("operations")));
});

test("a failed operation gives its error and that error's exit code", async () => {
  const error = { code: "unsatisfiable", message: "Cannot place shop: 3 cores wanted, 2 there" };
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json(operation({ state: "failed", error }), 202),
  });
  const outcome = await inFolder((folder) => consort(["up", join(folder, "shop.yaml")], { url: api.url }));
  const next = "shop is left as it is: see consort ps shop, consort logs; consort down shop removes it";
  assert.deepEqual(outcome, { exit: 3, out: "", err: `consort: ${error.message}\n${next}\n` });
});

test("up tells every refusal with its remedy, and down takes a file for the ensemble in it", async () => {
  const refusals = [
    {
      subject: "a1",
      message: "Cannot reserve memory on a1: it has 1GiB, wanted 2GiB",
      remedy: "Ask for less",
    },
  ];
  const refused = { code: "unsatisfiable", message: "Cannot bring up shop", details: { refusals } };
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json({ error: refused }, 422),
    "DELETE /v1/ensembles/shop": json(operation({ kind: "down", state: "done" }), 202),
  });
  await inFolder(async (folder) => {
    const up = await consort(["up", join(folder, "shop.yaml")], { url: api.url });
    assert.equal(up.exit, 3);
    assert.match(up.err, /x a1: Cannot reserve memory .*\n +remedy: Ask for less\n/);
    const down = await consort(["down", join(folder, "shop.yaml")], { url: api.url });
    assert.equal(down.exit, 0);
    const nothing = await consort(["down", join(folder, "none.yaml")], { url: api.url });
    assert.match(nothing.err, /none\.yaml: there is no such file/);
  });
});

test("up --detach returns once it is accepted, and down --json prints the operation", async () => {
  const done = operation({ kind: "down", state: "done", endedAtMs: nowMs + 1 });
  await using api = await testApi({
    "PUT /v1/ensembles/shop": json(operation({}), 202),
    "DELETE /v1/ensembles/shop": json(done, 202),
  });
  const detached = await inFolder((folder) =>
    consort(["up", "-d", join(folder, "shop.yaml")], { url: api.url }),
  );
  assert.equal(detached.out, "shop is accepted: operation op-1\n");
  const down = await consort(["down", "shop", "--json"], { url: api.url });
  assert.deepEqual(JSON.parse(down.out), done);
  assert.equal(down.err, "");
});

test("plan shows changes, placements, paths and refusals, and exits with 3 when it would be refused", async () => {
  const plan: PlanResult = {
    ensemble: "shop",
    satisfiable: false,
    changes: [
      { action: "create", subject: "shop/web", detail: "new" },
      { action: "add", subject: "monitor queue", detail: "" },
    ],
    placements: [
      {
        appliance: "shop/web",
        host: "a1",
        reason: "most free CPU",
        reservation: { executionUs: 8000, periodUs: 40_000, enforcement: "bandwidth" },
        traffic: { serviceClass: "gold", outBps: 5e6 },
      },
    ],
    links: [],
    refusals: [{ subject: "shop/db", message: "2GiB wanted, 1GiB free", remedy: "a host with 2GiB" }],
  };
  await using api = await testApi({ "POST /v1/plans": json(plan) });
  const { exit, out } = await inFolder((folder) =>
    consort(["plan", join(folder, "shop.yaml")], { url: api.url }),
  );
  assert.equal(exit, 3);
  assert.equal(
    out,
    [
      "Changes:",
      "  + create      shop/web  new",
      "  + add         monitor queue",
      "",
      "APPLIANCE  HOST  RESERVED  KEPT BY    TRAFFIC            REASON",
      "shop/web   a1    8ms/40ms  bandwidth  gold, 5Mbit/s out  most free CPU",
      "",
      "Would be refused:",
      "  x shop/db: 2GiB wanted, 1GiB free",
      "      remedy: a host with 2GiB",
      "",
      "shop cannot be satisfied: up would refuse it and change nothing.",
      "",
    ].join("\n"),
  );
});

test("plan --topology places on a described cluster without a manager, and exits with 3 when it does not fit", async () => {
  await inFolder(async (folder) => {
    const topology = join(folder, "rack.yaml");
    await writeFile(topology, JSON.stringify(topologyDocument(defaultLabTopology(1, 2))));
    const file = join(folder, "pair.yaml");
    const pair = (rate: string): string =>
      `${shop}  db:\n    command: [sleep, inf]\nlinks:\n  - between: [web, db]\n    bandwidth: ${rate}\nplacement:\n  - apart: [web, db]\n`;
    await writeFile(file, pair("100Mbit/s"));
    const fits = await consort(["plan", "--topology", topology, file, "--json", "--seed", "7"]);
    assert.equal(fits.exit, 0, fits.err);
    const plan = JSON.parse(fits.out) as OfflinePlan;
    assert.deepEqual(Object.values(plan.placement).sort(), ["a1", "a2"]);
    assert.equal(plan.paths[0]?.connection, "intra-switch");
    await writeFile(file, pair("2Gbit/s"));
    const refused = await consort(["plan", "--topology", topology, file]);
    assert.equal(refused.exit, 3);
    assert.match(refused.out, /Cannot be kept:\n {2}x .*\n {6}remedy: /);
  });
});

test("validate needs no manager, tells every problem with its place and exits with 2", async () => {
  await inFolder(async (folder) => {
    const good = await consort(["validate", join(folder, "shop.yaml")]);
    assert.equal(good.exit, 0);
    assert.match(good.out, /ensemble shop is valid: 1 appliance, /);
    const file = join(folder, "bad.yaml");
    await writeFile(file, `${shop}links:\n  - between: [web, dbb]\n`);
    const bad = await consort(["validate", join(folder, "shop.yaml"), file]);
    assert.equal(bad.exit, 2);
    assert.ok(bad.err.startsWith(`${file}:6:`), bad.err);
    const up = await consort(["up", file], { url: "http://127.0.0.1:1" });
    assert.equal(up.exit, 2);
    assert.match(up.err, /Cannot use .*bad\.yaml: \d+ problems?\n {2}.*bad\.yaml:6:/);
    assert.equal((await consort(["validate", join(folder, "none.yaml")])).exit, 2);
    assert.equal((await consort(["validate", "-"], { input: shop })).exit, 0);
  });
});

test("exec passes output, input and the exit code through", async () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  await using api = await testApi({
    "POST /v1/ensembles/shop/appliances/web-1/exec": (_asked, response) => {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(`${JSON.stringify({ stream: "stdout", dataBase64: base64("hello\n") })}\n`);
      response.write(`${JSON.stringify({ stream: "stderr", dataBase64: base64("oh\n") })}\n`);
      response.end(`${JSON.stringify({ exitCode: 42 })}\n`);
    },
  });
  const args = ["exec", "-i", "-e", "A=b=c", "shop/web-1", "--", "sh", "-c", "exit 42", "--json"];
  const outcome = await consort(args, { url: api.url, input: "in" });
  assert.deepEqual(outcome, { exit: 42, out: "hello\n", err: "oh\n" });
  assert.deepEqual(api.asked[0]?.body, {
    command: ["sh", "-c", "exit 42", "--json"],
    env: { A: "b=c" },
    stdinBase64: base64("in"),
  });
});

test("exec fails when the answer breaks off before an exit code", async () => {
  await using api = await testApi({
    "POST /v1/ensembles/shop/appliances/web-1/exec": (_asked, response) => void response.end(),
  });
  const outcome = await consort(["exec", "shop/web-1", "--", "ls"], { url: api.url });
  assert.equal(outcome.exit, 1);
  assert.match(outcome.err, /broke off/);
});

test("export prints YAML that says the same", async () => {
  await using api = await testApi({
    "GET /v1/ensembles/shop/document": json({
      ensemble: "shop",
      appliances: { web: { command: ["sleep", "inf"] } },
    }),
  });
  const { out } = await consort(["export", "shop"], { url: api.url });
  const again = await consort(["validate", "-"], { input: out });
  assert.equal(again.exit, 0, again.err);
});

test("newPart() gives what came since, and everything after the log was rotated away", () => {
  assert.equal(newPart("ab\n", "ab\ncd\n"), "cd\n");
  const long = Array.from({ length: 300 }, (_, line) => `line ${line}\n`).join("");
  assert.equal(newPart(long, `${long.slice(400)}more\n`), "more\n");
  assert.equal(newPart("old\n", "new\n"), "new\n");
  assert.equal(newPart("", "first\n"), "first\n");
});

test("logs gives a terminal lines and colours only, and anything else all as it was written", async () => {
  const written = "\u001b[1;31mred\u001b[0m\ttext\r\n\u001b]0;taken\u0007\u001b[2J\u009b2Jend\n";
  await using api = await testApi({
    "GET /v1/ensembles/shop/appliances/web-1/log": (_asked, response) => void response.end(written),
  });
  const asked = ["logs", "shop/web-1"];
  const shown = await consort(asked, { url: api.url, outIsTerminal: true });
  assert.equal(shown.out, "\u001b[1;31mred\u001b[0m\ttext\r\n]0;taken[2J2Jend\n");
  const kept = await consort(asked, { url: api.url });
  assert.equal(kept.out, written);
});

test("logs prints the end of what an appliance wrote", async () => {
  await using api = await testApi({
    "GET /v1/ensembles/shop/appliances/web-1/log": (_asked, response) => void response.end("one\ntwo\n"),
  });
  const { out } = await consort(["logs", "shop/web-1", "--max-bytes", "10"], { url: api.url });
  assert.equal(out, "one\ntwo\n");
  assert.match(api.asked[0]?.url ?? "", /maxBytes=10$/);
});

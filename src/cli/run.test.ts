import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { commands } from "#cli/commands.ts";
import { consort, json, refuse, testApi } from "#cli/cli.fixture.ts";

test("an unknown command is bad input, with what may have been meant", async () => {
  const { exit, err } = await consort(["pz"]);
  assert.equal(exit, 2);
  assert.equal(err, 'consort: Cannot run consort pz: no such command; did you mean "ps"?\n');
});

test("an unknown option is bad input, with what may have been meant", async () => {
  const { exit, err } = await consort(["ps", "--wach"]);
  assert.equal(exit, 2);
  assert.match(err, /no option --wach; did you mean "--watch"\?/);
});

test("options that mean the same for every command may stand before it", async () => {
  await using api = await testApi({ "GET /v1/hosts": json([]) });
  for (const args of [
    ["--api", api.url, "--json", "hosts"],
    [`--api=${api.url}`, "hosts", "--json"],
    ["--json", "hosts", "--api", api.url],
  ])
    assert.deepEqual(await consort(args), { exit: 0, out: "[]\n", err: "" });
  assert.match((await consort(["--lab", "red", "ps"])).err, /sudo consort lab up --lab red/);
  assert.match((await consort(["--lab", "red", "--help"])).out, /Usage: consort COMMAND/);
  assert.equal((await consort(["--lab", "red"])).exit, 2);
  const early = await consort(["--watch", "ps"]);
  assert.equal(early.exit, 2);
  assert.match(early.err, /--watch stands before the command, .* write: consort COMMAND --watch/);
});

test("an option without its value, a switch with one and a number that is none are bad input", async () => {
  for (const [args, message] of [
    [["ps", "--lab"], /--lab has no value, wanted --lab NAME/],
    [["ps", "--json=yes"], /--json is a switch and takes no value/],
    [["events", "--after", "x"], /--after is "x", wanted a whole number/],
    [["ps", "a", "b"], /2 arguments given, wanted: consort ps \[NAME\]/],
    [["up"], /no argument given, wanted: consort up FILE/],
    [["exec", "nowhere", "--", "ls"], /wanted NAME\/APPLIANCE/],
  ] as const) {
    const { exit, err } = await consort([...args], { url: "http://127.0.0.1:1" });
    assert.equal(exit, 2, err);
    assert.match(err, message);
  }
});

test("every command explains itself, with an example", async () => {
  assert.ok(commands.length >= 19);
  for (const { name, load } of commands) {
    const { command } = await load();
    const { exit, out } = await consort([name, "--help"]);
    assert.equal(exit, 0);
    assert.match(out, new RegExp(`Usage:\\n {2}consort ${name}`));
    assert.ok(command.examples.length > 0, name);
    assert.equal((await consort(["help", name])).out, out);
  }
});

test("docs/reference/cli.md is what the commands say", async () => {
  const page = await readFile(new URL("../../docs/reference/cli.md", import.meta.url), "utf8");
  const { out } = await consort(["help", "--markdown"]);
  assert.equal(page, out, "run: bin/consort help --markdown > docs/reference/cli.md");
});

test("without a command the overview lists all of them and the exit code is 2", async () => {
  const { exit, out } = await consort([]);
  assert.equal(exit, 2);
  for (const { name, summary } of commands) assert.ok(out.includes(`  ${name.padEnd(10)}  ${summary}`), name);
});

test("without a manager the message says how to start one", async () => {
  const { exit, err } = await consort(["ps"]);
  assert.equal(exit, 1);
  assert.match(err, /lab "lab" is not running .*start one with: sudo consort lab up/);
  assert.match((await consort(["ps", "--lab", "red"])).err, /sudo consort lab up --lab red/);
  assert.match((await consort(["ps"], { url: "http://127.0.0.1:1" })).err, /Cannot reach the manager at/);
});

test("errors of the API give their message, problems and the table's exit code", async () => {
  await using api = await testApi({
    "GET /v1/hosts": refuse("unsatisfiable", 422, "Cannot place: 3 cores wanted, 2 there"),
    "GET /v1/operations": refuse("bad_input", 400, "Cannot use it", [
      { file: "request", line: 0, column: 0, path: "links[0].to", message: 'no appliance "db2"' },
    ]),
  });
  const unsatisfiable = await consort(["hosts"], { url: api.url });
  assert.deepEqual(unsatisfiable, {
    exit: 3,
    out: "",
    err: "consort: Cannot place: 3 cores wanted, 2 there\n",
  });
  const bad = await consort(["operations"], { url: api.url });
  assert.equal(bad.exit, 2);
  assert.equal(bad.err, 'consort: Cannot use it\n  request links[0].to: no appliance "db2"\n');
  const machine = await consort(["hosts", "--json"], { url: api.url });
  assert.deepEqual(JSON.parse(machine.out), {
    error: { code: "unsatisfiable", message: "Cannot place: 3 cores wanted, 2 there" },
  });
});

test("what is printed carries no control characters of others", async () => {
  await using api = await testApi({
    "GET /v1/operations": json([
      {
        id: "1",
        kind: "up",
        ensemble: "shop\u001b[2J",
        state: "done",
        phase: "connecting",
        progress: { done: 1, total: 1 },
        message: "a\nb",
        createdAtMs: 0,
      },
    ]),
  });
  const { out } = await consort(["operations"], { url: api.url });
  // oxlint-disable-next-line no-control-regex -- the point of the test
  assert.doesNotMatch(out, /\u001b/);
  assert.match(out, /a b/);
});

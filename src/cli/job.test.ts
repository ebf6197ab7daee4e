import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { consort, json, nowMs, refuse, testApi } from "#cli/cli.fixture.ts";
import type { JobStatus } from "#protocol/http/job.ts";

const directory = mkdtempSync(join(tmpdir(), "consort-cli-job-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};

const render: JobStatus = {
  id: "render-1f2e3d4c",
  name: "render",
  state: "done",
  appliance: "shop/worker",
  ownMachine: false,
  host: "a1",
  attempt: 2,
  attemptsMax: 3,
  cancelled: false,
  submittedAtMs: nowMs - 10_000,
  startedAtMs: nowMs - 5000,
  endedAtMs: nowMs - 2500,
  exitCode: 0,
  failedAttempts: [
    { attempt: 1, host: "a2", endedAtMs: nowMs - 7000, exitCode: 1, message: "it ended with exit code 1" },
  ],
};
const failed: JobStatus = { ...render, state: "failed", exitCode: 7, message: "it ended with exit code 7" };
const output = (text: string, fromByte: number) =>
  json({
    attempt: 2,
    dataBase64: Buffer.from(text).toString("base64"),
    fromByte,
    nextByte: fromByte + text.length,
    isOver: true,
  });

test("job submit sends the file as JSON, from YAML or JSDL, and prints its id", async () => {
  await using api = await testApi({ "POST /v1/jobs": json(render) });
  const yaml = file("render.yaml", "job: render\nappliance: shop/worker\ncommand: ./render --scene 12\n");
  assert.deepEqual(await consort(["job", "submit", yaml], api), {
    exit: 0,
    out: "render-1f2e3d4c\n",
    err: "",
  });
  assert.deepEqual(api.asked[0]?.body, {
    job: "render",
    appliance: "shop/worker",
    command: ["./render", "--scene", "12"],
  });
  assert.equal((await consort(["job", "submit", yaml, "--in", "shop/other"], api)).exit, 0);
  const again = api.asked[1]?.body as { readonly appliance: string } | undefined;
  assert.equal(again?.appliance, "shop/other");
});

test("job submit tells what is wrong with a file with place and remedy, and asks nobody", async () => {
  await using api = await testApi({});
  const yaml = file("bad.yaml", "job: render\nappliance: shop/worker\ncomand: ls\n");
  const { exit, err } = await consort(["job", "submit", yaml], api);
  assert.equal(exit, 2);
  assert.match(err, /bad\.yaml:3:1 comand: "comand" is not known here; did you mean "command"\?/);
  assert.equal(api.asked.length, 0);
});

test("job submit --follow shows what it writes, and ends with its exit code", async () => {
  const yaml = file("render.yaml", "job: render\nappliance: shop/worker\ncommand: ls\n");
  let looks = 0;
  await using api = await testApi({
    "POST /v1/jobs": json({ ...render, state: "queued", attempt: 0 }),
    "GET /v1/jobs/render-1f2e3d4c": (asked, response) => {
      looks += 1;
      const waits = { ...render, state: "queued", message: `waits for its image, ${looks}MiB` };
      json(looks < 3 ? waits : looks < 5 ? { ...render, state: "running" } : failed)(asked, response);
    },
    "GET /v1/jobs/render-1f2e3d4c/output": (asked, response) => {
      const stdout = asked.url.includes("stream=stdout");
      const from = Number(/fromByte=(\d+)/.exec(asked.url)?.[1]);
      const text = stdout ? "hello\nworld\n" : "oh\n";
      output(text.slice(from, from + 6), from)(asked, response);
    },
  });
  assert.deepEqual(await consort(["job", "submit", "-f", yaml], api), {
    exit: 7,
    out: "hello\nworld\n",
    err: "render-1f2e3d4c is submitted\nrender-1f2e3d4c waits for its image, 1MiB\noh\nrender-1f2e3d4c has failed: it ended with exit code 7\n",
  });
});

const hostile = "\u001b[31mred\u001b[0m\u001b]0;taken\u0007\u001b[2J end";
const tamed = "\u001b[31mred\u001b[0m]0;taken[2J end";

test("what a job writes, and why it waits or failed, reaches a terminal as colours and lines, and a pipe as it is", async () => {
  let looks = 0;
  await using api = await testApi({
    "GET /v1/jobs/a": (asked, response) => {
      looks += 1;
      const waits = { ...render, state: "queued", message: `waits ${hostile}` };
      json(looks % 2 === 1 ? waits : { ...failed, message: `failed ${hostile}` })(asked, response);
    },
    "GET /v1/jobs/a/output": (asked, response) => {
      const from = Number(/fromByte=(\d+)/.exec(asked.url)?.[1]);
      // Three at a time: amid a sign of colour, too.
      output(hostile.slice(from, from + 3), from)(asked, response);
    },
  });
  const shown = await consort(["job", "output", "-f", "a"], {
    ...api,
    outIsTerminal: true,
    errIsTerminal: true,
  });
  const plain = " [31mred [0m ]0;taken [2J end";
  assert.equal(shown.out, tamed);
  assert.equal(shown.err, `a waits ${plain}\n${tamed}render-1f2e3d4c has failed: failed ${plain}\n`);
  assert.equal((await consort(["job", "output", "a"], { ...api, outIsTerminal: true })).out, tamed);
  const piped = await consort(["job", "output", "-f", "a"], api);
  assert.equal(piped.out, hostile);
  assert.equal(piped.err.includes(hostile), true);
});

test("job ls lists them, and job status tells all of one", async () => {
  await using api = await testApi({
    "GET /v1/jobs": json([render]),
    "GET /v1/jobs/render-1f2e3d4c": json(render),
  });
  assert.equal(
    (await consort(["job", "ls"], api)).out,
    "JOB              STATE  APPLIANCE    HOST  ATTEMPT  AGE   TOOK  EXIT\n" +
      "render-1f2e3d4c  done   shop/worker  a1        2/3  10s  2.50s     0\n",
  );
  assert.equal((await consort(["job", "ls", "-q"], api)).out, "render-1f2e3d4c\n");
  const { out } = await consort(["job", "status", "render-1f2e3d4c"], api);
  assert.match(out, /^state: +done$/m);
  assert.match(out, /^ +1 +a2 +1 +it ended with exit code 1$/m);
  assert.deepEqual(JSON.parse((await consort(["job", "ls", "--json"], api)).out), [render]);
});

test("job output, cancel and rm ask for just that, and wrong words are told with a remedy", async () => {
  await using api = await testApi({
    "GET /v1/jobs/a/output": (asked, response) =>
      output(asked.url.includes("fromByte=0") ? "all" : "", 3)(asked, response),
    "POST /v1/jobs/a/cancel": json({ ...render, id: "a", cancelled: true }),
    "DELETE /v1/jobs/a": (_asked, response) => void response.writeHead(204).end(),
    "DELETE /v1/jobs/b": refuse("conflict", 409, "Cannot remove b: it is running, cancel it first"),
  });
  assert.equal((await consort(["job", "output", "a"], api)).out, "all");
  assert.equal((await consort(["job", "cancel", "a"], api)).out, "a is to end\n");
  assert.equal((await consort(["job", "rm", "a"], api)).exit, 0);
  assert.match((await consort(["job", "rm", "b"], api)).err, /cancel it first/);
  assert.match((await consort(["job", "statsu", "a"], api)).err, /no such verb; did you mean "status"/);
  assert.match((await consort(["job", "rm"], api)).err, /wanted one JOB: consort job rm JOB/);
});

test("secret set reads a map from standard input and never shows it", async () => {
  await using api = await testApi({
    "PUT /v1/secrets/store": (_asked, response) => void response.writeHead(204).end(),
    "GET /v1/secrets": json(["store"]),
  });
  const set = await consort(["secret", "set", "store"], { ...api, input: "user: me\npassword: 0123\n" });
  assert.deepEqual(set, { exit: 0, out: "", err: "" });
  assert.deepEqual(api.asked[0]?.body, { user: "me", password: "0123" }, "as written, not as a number");
  const bad = await consort(["secret", "set", "store"], { ...api, input: "password: [hunter2, : {" });
  assert.deepEqual([bad.exit, bad.err.includes("hunter2")], [2, false]);
  assert.equal((await consort(["secret", "ls"], api)).out, "store\n");
});

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { application } from "#api/application.ts";
import { FakeService } from "#api/fake-service.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { JobOutput, JobStatus } from "#protocol/http/job.ts";

const closing = new AbortController();
after(() => closing.abort());
const token = "t".repeat(40);

function api(): {
  service: FakeService;
  ask: (
    method: "GET" | "POST" | "PUT" | "DELETE",
    url: string,
    body?: object,
  ) => Promise<{ status: number; body: unknown; text: string }>;
} {
  const service = new FakeService();
  const app = application({
    service,
    clock: systemClock(),
    version: "0",
    document: () => ({}),
    log: silentLog,
    token,
    hostNames: [],
    closing: closing.signal,
  });
  return {
    service,
    async ask(method, url, body) {
      const headers = { host: "localhost", authorization: `Bearer ${token}` };
      const answer = await app.inject({ method, url, headers, ...(body === undefined ? {} : { body }) });
      return {
        status: answer.statusCode,
        text: answer.body,
        body: answer.body === "" ? undefined : (JSON.parse(answer.body) as unknown),
      };
    },
  };
}

const render = { job: "render", appliance: "shop/web", command: ["./render"], retry: 3 };

test("a job is submitted, listed, read as it was declared, cancelled and forgotten", async () => {
  const { ask } = api();
  const submitted = await ask("POST", "/v1/jobs", render);
  assert.equal(submitted.status, 200);
  const { id } = submitted.body as JobStatus;
  assert.deepEqual((await ask("GET", "/v1/jobs")).body, [submitted.body]);
  assert.deepEqual((await ask("GET", `/v1/jobs/${id}`)).body, submitted.body);
  assert.deepEqual((await ask("GET", `/v1/jobs/${id}/declared`)).body, render);
  assert.equal(((await ask("POST", `/v1/jobs/${id}/cancel`)).body as JobStatus).state, "cancelled");
  assert.equal((await ask("DELETE", `/v1/jobs/${id}`)).status, 204);
  assert.equal((await ask("GET", `/v1/jobs/${id}`)).status, 404);
});

test("a job that cannot be is refused with all its problems", async () => {
  const { ask } = api();
  const stageIn = [{ from: "file:///srv/../etc/shadow", to: "../x" }];
  const { status, body } = await ask("POST", "/v1/jobs", { ...render, stageIn, comand: "x" });
  assert.equal(status, 400);
  const { problems } = (body as { error: { problems: { path: string }[] } }).error;
  assert.deepEqual(problems.map(({ path }) => path).sort(), ["comand", "stageIn[0].from", "stageIn[0].to"]);
});

test("output is handed out a piece at a time, from where it is asked for", async () => {
  const { ask, service } = api();
  const { id } = (await ask("POST", "/v1/jobs", render)).body as JobStatus;
  service.jobs.written.stderr = "0123456789";
  const piece = await ask("GET", `/v1/jobs/${id}/output?stream=stderr&fromByte=3&maxBytes=4`);
  const told = piece.body as JobOutput;
  assert.deepEqual(
    [Buffer.from(told.dataBase64, "base64").toString(), told.nextByte, told.isOver],
    ["3456", 7, false],
  );
  assert.equal((await ask("GET", `/v1/jobs/${id}/output?maxBytes=100000000`)).status, 400);
  assert.equal((await ask("GET", `/v1/jobs/${id}/output?stream=stdin`)).status, 400);
});

test("secrets are kept and named, and never told, not even when they are refused", async () => {
  const { ask, service } = api();
  assert.equal((await ask("PUT", "/v1/secrets/store", { password: "hunter2" })).status, 204);
  assert.deepEqual(service.jobs.secretFields.get("store"), { password: "hunter2" });
  const named = await ask("GET", "/v1/secrets");
  assert.deepEqual([named.body, named.text.includes("hunter2")], [["store"], false]);
  const refused = await ask("PUT", "/v1/secrets/store", { password: ["hunter2"] });
  assert.deepEqual([refused.status, refused.text.includes("hunter2")], [400, false]);
  assert.equal((await ask("DELETE", "/v1/secrets/store")).status, 204);
  assert.equal((await ask("DELETE", "/v1/secrets/store")).status, 404);
});

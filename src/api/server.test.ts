import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { FakeService } from "#api/fake-service.ts";
import { apiLimits } from "#api/limits.ts";
import { startApi } from "#api/server.ts";
import type { Api } from "#api/server.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { ExecLine } from "#protocol/http/exec.ts";

let directory: string;
let service: FakeService;
let clock: ManualClock;
let api: Api;

const start = (address: string, allowRemote?: boolean): Promise<Api> =>
  startApi({
    service,
    address,
    port: 0,
    tokenFile: join(directory, "token"),
    ...(allowRemote === undefined ? {} : { allowRemote }),
    log: silentLog,
    clock,
    random: seededRandom(1),
  });

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "consort-api-"));
  service = new FakeService();
  clock = new ManualClock();
  api = await start("127.0.0.1");
});
afterEach(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

const send = (
  path: string,
  init: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {},
): Promise<Response> =>
  fetch(`${api.url}${path}`, {
    ...init,
    headers: {
      authorization: `Bearer ${readFileSync(join(directory, "token"), "utf8").trim()}`,
      ...init.headers,
    },
  });

/** Reads a streamed answer as it comes. */
function reader(response: Response): { until(pattern: RegExp): Promise<string>; cancel(): Promise<void> } {
  assert.ok(response.body !== null);
  const stream = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    async until(pattern) {
      while (!pattern.test(text)) {
        const { value, done } = await stream.read();
        if (done) throw new Error(`the answer ended before ${pattern}: ${text}`);
        text += value;
      }
      return text;
    },
    cancel: () => stream.cancel(),
  };
}

describe("startApi()", () => {
  it("makes a token and answers those who have it", async () => {
    assert.equal((await send("/v1/hosts")).status, 200);
    assert.equal((await fetch(`${api.url}/v1/hosts`)).status, 401);
    assert.match(api.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  });

  it("listens beyond loopback only when told to", async () => {
    await assert.rejects(start("0.0.0.0"), { code: "forbidden" });
    const wide = await start("0.0.0.0", true);
    await wide.close();
  });

  it("says so when it cannot listen", async () => {
    await assert.rejects(
      startApi({
        service,
        address: "127.0.0.1",
        port: Number(new URL(api.url).port),
        tokenFile: join(directory, "token"),
        log: silentLog,
        clock,
        random: seededRandom(1),
      }),
      { code: "driver_failed", message: /Cannot listen on 127\.0\.0\.1/ },
    );
  });
});

describe("events over the API", () => {
  it("come as they happen, with heartbeats, from the cursor on", async () => {
    service.append("ensemble.accepted", "shop", "one\ntwo");
    service.append("appliance.running", "shop/web", "second");
    const response = await send("/v1/events?after=1");
    assert.match(String(response.headers.get("content-type")), /^text\/event-stream/);
    const events = reader(response);
    const kept = await events.until(/id: 2\n.*\n\n/s);
    assert.ok(!kept.includes("id: 1\n"));
    service.append("operation.done", "shop", "third");
    const text = await events.until(/id: 3\nevent: operation\.done\ndata: (\{.*\})\n\n/);
    const data = /id: 3\nevent: operation\.done\ndata: (.*)\n\n/.exec(text)?.[1] ?? "";
    assert.deepEqual(JSON.parse(data), {
      cursor: 3,
      atMs: 0,
      kind: "operation.done",
      subject: "shop",
      message: "third",
    });
    clock.advance(apiLimits.heartbeatMs);
    await events.until(/third.*\n\n:\n\n$/s);
    await events.cancel();
  });

  it("begin with what comes when no cursor is given, and after Last-Event-ID when a reader comes back", async () => {
    service.append("a", "shop", "before");
    const fresh = reader(await send("/v1/events"));
    await fresh.until(/:\n\n/);
    service.append("b", "shop", "after");
    assert.ok(!(await fresh.until(/id: 2\n/)).includes("id: 1\n"));
    await fresh.cancel();
    const back = reader(await send("/v1/events?after=0", { headers: { "last-event-id": "1" } }));
    assert.ok(!(await back.until(/id: 2\n/)).includes("id: 1\n"));
    await back.cancel();
  });

  it("are refused with 410 when the cursor is too old", async () => {
    service.forgottenCursor = 10;
    const response = await send("/v1/events?after=3");
    assert.equal(response.status, 410);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, "gone");
    assert.equal((await send("/v1/events", { headers: { "last-event-id": "x" } })).status, 400);
  });

  it("end when the API closes", async () => {
    const events = reader(await send("/v1/events?after=0"));
    await events.until(/:\n\n/);
    await api.close();
    await assert.rejects(events.until(/never/));
  });
});

describe("exec over the API", () => {
  const exec = (body: unknown, signal?: AbortSignal): Promise<Response> =>
    send("/v1/ensembles/shop/appliances/web/exec", {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
      ...(signal === undefined ? {} : { signal }),
    });
  const linesOf = async (response: Response): Promise<ExecLine[]> =>
    (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as ExecLine);

  it("streams output line by line, then the exit code", async () => {
    const finish = Promise.withResolvers<void>();
    service.onExec = async (ensemble, appliance, request, onOutput) => {
      assert.deepEqual([ensemble, appliance], ["shop", "web"]);
      assert.deepEqual(request, { command: ["ls"], env: {}, stdinBase64: "aGk=" });
      onOutput("stdout", Buffer.from([0, 255, 10]));
      await finish.promise;
      onOutput("stderr", Buffer.from("late"));
      return 7;
    };
    const output = reader(await exec({ command: ["ls"], stdinBase64: "aGk=" }));
    assert.equal(await output.until(/\n/), '{"stream":"stdout","dataBase64":"AP8K"}\n');
    finish.resolve();
    assert.deepEqual((await output.until(/exitCode.*\n/)).trim().split("\n").slice(1), [
      '{"stream":"stderr","dataBase64":"bGF0ZQ=="}',
      '{"exitCode":7}',
    ]);
  });

  it("is refused with the error's own status before any output, and in a last line after", async () => {
    service.onExec = async () => {
      throw new ConsortError("not_found", "Cannot run it: no such appliance");
    };
    assert.equal((await exec({ command: ["ls"] })).status, 404);
    service.onExec = async (_ensemble, _appliance, _request, onOutput) => {
      onOutput("stdout", Buffer.from("x"));
      throw new ConsortError("unavailable", "Cannot go on: the host left");
    };
    const broken = await exec({ command: ["ls"] });
    assert.equal(broken.status, 200);
    assert.deepEqual((await linesOf(broken))[1], {
      error: { code: "unavailable", message: "Cannot go on: the host left" },
    });
    assert.equal((await exec({ command: [] })).status, 400);
  });

  it("stops the program when its reader goes away", async () => {
    const stopped = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    service.onExec = (_ensemble, _appliance, _request, _onOutput, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          stopped.resolve();
          reject(signal.reason as Error);
        });
        started.resolve();
      });
    const leave = new AbortController();
    const response = exec({ command: ["sleep"] }, leave.signal);
    await started.promise;
    leave.abort();
    await assert.rejects(response);
    await stopped.promise;
  });

  it("stops a program whose output nobody takes", async () => {
    const stopped = Promise.withResolvers<unknown>();
    service.onExec = (_ensemble, _appliance, _request, onOutput, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          stopped.resolve(signal.reason);
          reject(signal.reason as Error);
        });
        const chunk = Buffer.alloc(1024 * 1024);
        for (let n = 0; n < apiLimits.execBacklogBytesMax / chunk.length; n += 1) onOutput("stdout", chunk);
      });
    const response = await exec({ command: ["yes"] });
    const reason = await stopped.promise;
    assert.ok(reason instanceof ConsortError && reason.code === "limit_exceeded");
    const last = (await linesOf(response)).at(-1);
    assert.ok(last !== undefined && "error" in last && last.error.code === "limit_exceeded");
  });
});

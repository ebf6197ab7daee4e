import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { FastifyInstance, InjectOptions } from "fastify";
import { ConsortError } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { application } from "#api/application.ts";
import { FakeService } from "#api/fake-service.ts";
import { apiLimits } from "#api/limits.ts";
import { openApiDocument } from "#api/openapi.ts";
import { apiRoutes } from "#api/routes.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { ErrorBody } from "#protocol/http/error.ts";
import type { Operation } from "#protocol/http/operation.ts";

const token = "0123456789abcdef".repeat(4);
const shop = {
  ensemble: "shop",
  appliances: { web: { command: ["nginx"] }, db: { command: ["sleep", "infinity"] } },
  links: [{ between: ["web", "db"], bandwidth: "600Mbit/s" }],
};
let service: FakeService;
let clock: ManualClock;
let app: FastifyInstance;

beforeEach(() => {
  service = new FakeService();
  clock = new ManualClock();
  app = application({
    service,
    clock,
    version: "1.2.3",
    document: openApiDocument,
    log: silentLog,
    token,
    hostNames: ["consort.example"],
    closing: new AbortController().signal,
  });
});

const call = (options: InjectOptions) =>
  app.inject({ ...options, headers: { authorization: `Bearer ${token}`, ...options.headers } });
const get = (url: string) => call({ method: "GET", url });
const put = (url: string, payload: object) => call({ method: "PUT", url, payload });
const errorOf = (response: { json(): unknown }): ErrorBody["error"] => (response.json() as ErrorBody).error;

describe("the API lets in", () => {
  it("nobody without the token, on any path but the version's", async () => {
    for (const { method, path, open } of apiRoutes) {
      const response = await app.inject({ method, url: path.replaceAll(/[{}]/g, "") });
      assert.equal(response.statusCode, open === true ? 200 : 401, `${method} ${path}`);
    }
    assert.equal((await app.inject({ url: "/v1/nothing" })).statusCode, 401);
    assert.deepEqual((await app.inject({ url: "/v1/version" })).json(), {
      name: "consort",
      version: "1.2.3",
      api: "v1",
    });
  });

  it("no token that is nearly right, and says what it wants", async () => {
    for (const authorization of ["", token, "Bearer", `Bearer ${token}0`, `Bearer ${token.slice(1)}`]) {
      const response = await app.inject({ url: "/v1/hosts", headers: { authorization } });
      assert.equal(response.statusCode, 401, authorization);
      assert.equal(response.headers["www-authenticate"], "Bearer");
      assert.equal(errorOf(response).code, "unauthenticated");
    }
  });

  it("nobody who asks for it by a stranger's name", async () => {
    for (const [host, status] of [
      ["localhost:7070", 200],
      ["[::1]:80", 200],
      ["consort.example", 200],
      ["evil.example", 403],
      ["localhost.evil.example", 403],
    ] as const) {
      const response = await app.inject({ url: "/v1/version", headers: { host } });
      assert.equal(response.statusCode, status, host);
    }
  });
});

describe("ensembles over the API", () => {
  it("are put, shown, exported as they were put, explained and deleted", async () => {
    const accepted = await put("/v1/ensembles/shop", shop);
    assert.equal(accepted.statusCode, 202, accepted.body);
    const operation = accepted.json<Operation>();
    assert.equal(accepted.headers["location"], `/v1/operations/${operation.id}`);
    assert.equal((await get("/v1/ensembles")).json<unknown[]>().length, 1);
    assert.equal((await get("/v1/ensembles/shop")).json<{ name: string }>().name, "shop");
    assert.deepEqual((await get("/v1/ensembles/shop/document")).json(), shop);
    assert.equal((await get("/v1/ensembles/shop/explanation")).statusCode, 200);
    const deleted = await call({ method: "DELETE", url: "/v1/ensembles/shop" });
    assert.equal(deleted.statusCode, 202);
    assert.equal((await get("/v1/ensembles/shop")).statusCode, 404);
  });

  it("are refused with every problem of the document, and nothing is changed", async () => {
    const response = await put("/v1/ensembles/shop", {
      ensemble: "shop",
      appliances: { web: { comand: ["x"] } },
      links: [{ between: ["web", "nobody"] }],
    });
    assert.equal(response.statusCode, 400);
    const { code, problems = [] } = errorOf(response);
    assert.equal(code, "bad_input");
    assert.ok(problems.length > 0 && problems.every((one) => one.path !== ""), response.body);
    assert.equal(service.declaredEnsembles.size, 0);
  });

  it("are refused under another name", async () => {
    const response = await put("/v1/ensembles/other", shop);
    assert.equal(response.statusCode, 400);
    assert.match(errorOf(response).message, /declares shop/);
  });

  it("are planned without being changed", async () => {
    const response = await call({ method: "POST", url: "/v1/plans", payload: shop });
    assert.equal(response.json<{ changes: unknown[] }>().changes.length, 2);
    assert.equal(service.declaredEnsembles.size, 0);
  });
});

describe("refusals of the API", () => {
  it("carry the service's code, message and details, with the status of the error table", async () => {
    service.up = async () => {
      throw new ConsortError("unsatisfiable", "Cannot keep it: too large", { details: { missing: 3 } });
    };
    const response = await put("/v1/ensembles/shop", shop);
    assert.equal(response.statusCode, 422);
    assert.deepEqual(response.json(), {
      error: { code: "unsatisfiable", message: "Cannot keep it: too large", details: { missing: 3 } },
    });
  });

  it("say nothing of a defect's inside", async () => {
    service.hosts = async () => {
      throw new TypeError("secret of the inside");
    };
    const response = await get("/v1/hosts");
    assert.equal(response.statusCode, 500);
    assert.ok(!response.body.includes("secret") && !response.body.includes("TypeError"), response.body);
  });

  it("name bodies that are no JSON, too large or of another type, and paths that are none", async () => {
    const raw = (payload: string, type: string) =>
      call({ method: "POST", url: "/v1/plans", payload, headers: { "content-type": type } });
    for (const [response, status, code] of [
      [await raw("{", "application/json"), 400, "bad_input"],
      [await raw('{"__proto__": {}}', "application/json"), 400, "bad_input"],
      [await raw("a: 1", "application/yaml"), 400, "bad_input"],
      [await raw(`"${"x".repeat(apiLimits.bodyBytesMax)}"`, "application/json"), 429, "limit_exceeded"],
      [await get("/v2/hosts"), 404, "not_found"],
      [await get("/v1/operations/none"), 404, "not_found"],
      [await get("/v1/operations/none?waitMs=-1"), 400, "bad_input"],
    ] as const) {
      assert.equal(response.statusCode, status, response.body);
      assert.equal(errorOf(response).code, code);
    }
  });
});

describe("operations over the API", () => {
  const known = async (): Promise<Operation> => (await put("/v1/ensembles/shop", shop)).json<Operation>();

  it("are listed, shown and cancelled once", async () => {
    const { id } = await known();
    assert.equal((await get("/v1/operations")).json<unknown[]>().length, 1);
    const cancel = () => call({ method: "DELETE", url: `/v1/operations/${id}` });
    assert.equal((await cancel()).json<Operation>().state, "cancelled");
    assert.equal((await cancel()).statusCode, 409);
  });

  it("are answered when they change", async () => {
    const operation = await known();
    const waiting = get(`/v1/operations/${operation.id}?waitMs=1000`);
    await sleeperOf(clock);
    service.change({ ...operation, phase: "starting" });
    clock.advance(apiLimits.waitStepMs);
    assert.equal((await waiting).json<Operation>().phase, "starting");
  });

  it("are answered unchanged when the wait is over, and at once when they have ended", async () => {
    const operation = await known();
    const waiting = get(`/v1/operations/${operation.id}?waitMs=10`);
    await sleeperOf(clock);
    clock.advance(millis(10));
    assert.deepEqual((await waiting).json(), operation);
    service.change({ ...operation, state: "done" });
    assert.equal((await get(`/v1/operations/${operation.id}?waitMs=1000`)).json<Operation>().state, "done");
  });

  it("are answered at once when they differ from what the reader knows", async () => {
    const operation = await known();
    const before = await get(`/v1/operations/${operation.id}`);
    service.change({ ...operation, phase: "starting" });
    const since = encodeURIComponent(String(before.headers["etag"]));
    const now = await get(`/v1/operations/${operation.id}?waitMs=1000&since=${since}`);
    assert.equal(now.json<Operation>().phase, "starting");
    assert.notEqual(now.headers["etag"], before.headers["etag"]);
  });
});

describe("logs over the API", () => {
  it("are as long as asked for, within the limit", async () => {
    await put("/v1/ensembles/shop", shop);
    const log = "/v1/ensembles/shop/appliances/web/log";
    const response = await get(`${log}?maxBytes=7`);
    assert.equal(response.body, "the last 7 bytes of shop/web\n");
    assert.match(String(response.headers["content-type"]), /^text\/plain/);
    assert.equal((await get(`${log}?maxBytes=1e9`)).statusCode, 400);
    assert.equal((await get(`${log}?maxBytes=0`)).statusCode, 400);
  });
});

/** Resolves when something sleeps on the clock. */
async function sleeperOf(one: ManualClock): Promise<void> {
  const asleep = Promise.withResolvers<void>();
  const timer = one.timer.bind(one);
  one.timer = (delay, run) => {
    const callOff = timer(delay, run);
    asleep.resolve();
    return callOff;
  };
  await asleep.promise;
}

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { FastifyInstance } from "fastify";
import { ManualClock } from "#base/manual-clock.ts";
import { application } from "#api/application.ts";
import { FakeService } from "#api/fake-service.ts";
import { openApiDocument } from "#api/openapi.ts";
import { silentLog } from "#drivers/system/log.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { ErrorBody } from "#protocol/http/error.ts";
import type { Operation } from "#protocol/http/operation.ts";

const token = "0123456789abcdef".repeat(4);
let service: FakeService;
let app: FastifyInstance;

beforeEach(async () => {
  service = new FakeService();
  await service.up(sampleEnsemble("shop", { appliances: [sampleAppliance("web")] }));
  app = application({
    service,
    clock: new ManualClock(),
    version: "1.2.3",
    document: openApiDocument,
    log: silentLog,
    token,
    hostNames: [],
    closing: new AbortController().signal,
  });
});

const post = (url: string, payload: object) =>
  app.inject({ method: "POST", url, payload, headers: { authorization: `Bearer ${token}` } });

describe("adapting over the API", () => {
  it("takes sizes and moves in the words of ensemble files, as one operation", async () => {
    const payload = { sizes: { web: { cpu: "32ms/40ms" } }, moves: ["move 8ms from db to web"] };
    const accepted = await post("/v1/ensembles/shop/resize", payload);
    assert.equal(accepted.statusCode, 202, accepted.body);
    assert.equal(accepted.json<Operation>().kind, "resize");
    assert.match(String(accepted.headers["location"]), /^\/v1\/operations\//);
    const sizes = new Map([["web", { cpu: { kind: "reservation", periodUs: 40_000, executionUs: 32_000 } }]]);
    const moves = [{ kind: "move-cpu", executionUs: 8000, from: "db", to: "web" }];
    assert.deepEqual(service.asked, [{ verb: "resize", name: "shop", request: { sizes, moves } }]);
  });

  it("holds and lets go appliances by name, or all, in memory or on disk", async () => {
    const disk = { appliances: ["web"], toDisk: true };
    assert.equal((await post("/v1/ensembles/shop/suspend", { appliances: ["web"] })).statusCode, 202);
    assert.equal((await post("/v1/ensembles/shop/resume", {})).statusCode, 202);
    assert.equal((await post("/v1/ensembles/shop/suspend", disk)).statusCode, 202);
    const resumed = await post("/v1/ensembles/shop/resume", { appliances: ["web"], to: "a2" });
    assert.equal(resumed.statusCode, 202);
    assert.deepEqual(service.asked, [
      { verb: "suspend", name: "shop", appliances: ["web"] },
      { verb: "resume", name: "shop", appliances: [] },
      { verb: "suspend to disk", name: "shop", appliances: ["web"] },
      { verb: "resume", name: "shop", host: "a2", appliances: ["web"] },
    ]);
  });

  it("refuses what is no size, with all problems and their paths, and unknown ensembles", async () => {
    const refused = await post("/v1/ensembles/shop/resize", { sizes: { web: { memory: 512 } } });
    assert.equal(refused.statusCode, 400);
    const { error } = refused.json<ErrorBody>();
    assert.match(error.message, /^Cannot resize shop: sizes\.web\.memory: expected a size/);
    assert.equal((await post("/v1/ensembles/none/suspend", {})).statusCode, 404);
    assert.deepEqual(service.asked, []);
  });
});

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { FastifyInstance } from "fastify";
import { ManualClock } from "#base/manual-clock.ts";
import { application } from "#api/application.ts";
import { FakeService } from "#api/fake-service.ts";
import { openApiDocument } from "#api/openapi.ts";
import { silentLog } from "#drivers/system/log.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import type { ErrorBody } from "#protocol/http/error.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { sampleHostStatus } from "#protocol/http/status.fixture.ts";
import type { HostStatus } from "#protocol/http/status.ts";

const token = "0123456789abcdef".repeat(4);
const a1 = sampleHostStatus("a1");
let service: FakeService;
let app: FastifyInstance;

beforeEach(() => {
  service = new FakeService();
  service.hostList = [a1, { ...a1, id: "a2", state: "lost", fenced: true }];
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

const call = (method: "GET" | "POST" | "DELETE", url: string) =>
  app.inject({ method, url, headers: { authorization: `Bearer ${token}` } });

describe("hosts over the API", () => {
  it("are cordoned and opened again, and shown as they are now", async () => {
    const cordoned = await call("POST", "/v1/hosts/a1/cordon");
    assert.equal(cordoned.statusCode, 200, cordoned.body);
    assert.deepEqual(cordoned.json(), { ...a1, scheduling: "cordoned" });
    assert.equal((await call("GET", "/v1/hosts")).json<HostStatus[]>()[0]?.scheduling, "cordoned");
    assert.deepEqual((await call("POST", "/v1/hosts/a1/uncordon")).json(), a1);
  });

  it("are drained by an operation about the host, which can be followed and cancelled", async () => {
    const accepted = await call("POST", "/v1/hosts/a1/drain");
    assert.equal(accepted.statusCode, 202, accepted.body);
    const operation = accepted.json<Operation>();
    assert.equal(operation.kind, "drain");
    assert.equal(operation.host, "a1");
    assert.equal(operation.ensemble, undefined);
    const place = String(accepted.headers["location"]);
    assert.deepEqual((await call("GET", place)).json(), operation);
    assert.equal((await call("DELETE", place)).json<Operation>().state, "cancelled");
  });

  it("are forgotten when they are lost, without a word, and not otherwise", async () => {
    const refused = await call("POST", "/v1/hosts/a1/forget");
    assert.equal(refused.statusCode, 409);
    service.hostList = service.hostList.map((one) => ({ ...one, appliances: 1 }));
    assert.equal((await call("POST", "/v1/hosts/a2/forget")).statusCode, 409);
    assert.equal((await call("POST", "/v1/hosts/a2/forget?gone=yes-no")).statusCode, 400);
    const forgotten = await call("POST", "/v1/hosts/a2/forget?gone=true");
    assert.equal(forgotten.statusCode, 204);
    assert.equal(forgotten.body, "");
    assert.deepEqual(
      service.hostList.map(({ id }) => id),
      ["a1"],
    );
  });

  it("that are not there are not found, whatever is asked of them", async () => {
    for (const verb of ["cordon", "uncordon", "drain", "forget"]) {
      const response = await call("POST", `/v1/hosts/b7/${verb}`);
      assert.equal(response.statusCode, 404, verb);
      assert.match(response.json<ErrorBody>().error.message, /host b7/);
    }
  });
});

describe("the snapshot over the API", () => {
  it("reads back as a snapshot", async () => {
    const response = await call("GET", "/v1/snapshot");
    assert.equal(response.statusCode, 200, response.body);
    const parsed = parseSnapshot(response.body, "answer");
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.value, await service.snapshot());
  });
});

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { FastifyInstance } from "fastify";
import { ManualClock } from "#base/manual-clock.ts";
import { application } from "#api/application.ts";
import { FakeService } from "#api/fake-service.ts";
import { openApiDocument } from "#api/openapi.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { ImageStatus } from "#protocol/http/image.ts";

const token = "0123456789abcdef".repeat(4);
let service: FakeService;
let app: FastifyInstance;

beforeEach(() => {
  service = new FakeService();
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

const call = (method: "GET" | "PUT" | "POST" | "DELETE", url: string, body?: object) =>
  app.inject({
    method,
    url,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { payload: body }),
  });

const disk = { url: "https://host/debian.qcow2" };
const debian = { name: "debian", disk, boot: { kind: "disk" } };

describe("images over the API", () => {
  it("are registered by their descriptions, shown and removed", async () => {
    const registered = await call("PUT", "/v1/images/debian", debian);
    assert.equal(registered.statusCode, 200, registered.body);
    assert.deepEqual(service.imageSpecs.get("debian")?.disk, { kind: "url", ...disk });
    assert.deepEqual(
      (await call("GET", "/v1/images")).json<ImageStatus[]>().map(({ name }) => name),
      ["debian"],
    );
    assert.equal((await call("GET", "/v1/images/debian")).json<ImageStatus>().state, "ready");
    assert.equal((await call("DELETE", "/v1/images/debian")).statusCode, 204);
    assert.equal((await call("GET", "/v1/images/debian")).statusCode, 404);
  });

  it("are refused under another name, and where they could be no image", async () => {
    for (const [name, body] of [
      ["other", debian],
      ["debian", { ...debian, boot: undefined }],
      ["debian", { ...debian, unknown: 1 }],
      ["..%2Fx", { ...debian, name: "../x" }],
    ] as const) {
      const refused = await call("PUT", `/v1/images/${name}`, body);
      assert.equal(refused.statusCode, 400, refused.body);
    }
    assert.equal(service.imageSpecs.size, 0);
  });

  it("are brought in parts, each told where to go on, and only under a digest", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const send = async (fromByte: number, text: string) =>
      (
        await call("PUT", `/v1/uploads/${digest}`, {
          sizeBytes: 6,
          fromByte,
          dataBase64: Buffer.from(text).toString("base64"),
        })
      ).json<unknown>();
    assert.deepEqual(await send(0, "abc"), { haveBytes: 3, complete: false });
    assert.deepEqual(await send(0, "abc"), { haveBytes: 3, complete: false });
    assert.deepEqual(await send(3, "def"), { haveBytes: 6, complete: true });
    const part = { sizeBytes: 1, fromByte: 0, dataBase64: "" };
    assert.equal((await call("PUT", "/v1/uploads/..%2F..%2Fetc", part)).statusCode, 400);
  });

  it("are discovered as what can be registered, and what nobody needs is collected", async () => {
    const found = await call("POST", "/v1/images-discovered", { url: "sftp://store/images" });
    const [first] = found.json<{ name: string }[]>();
    assert.equal((await call("PUT", "/v1/images/found", first)).statusCode, 200);
    assert.deepEqual((await call("POST", "/v1/content-collected")).json(), {
      removed: 2,
      freedBytes: 5 * 1024 * 1024,
    });
  });
});

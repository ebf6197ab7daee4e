import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { limits } from "#base/limits.ts";
import { consort, json, nowMs, refuse, testApi } from "#cli/cli.fixture.ts";
import type { Answer } from "#cli/cli.fixture.ts";
import type { ImageStatus } from "#protocol/http/image.ts";

const image = (change: Partial<ImageStatus> = {}): ImageStatus => ({
  name: "debian",
  state: "ready",
  role: "base",
  architecture: "amd64",
  features: ["seed"],
  boots: "disk",
  format: "qcow2",
  sizeBytes: 300 * 1024 ** 2,
  virtualBytes: 2 * 1024 ** 3,
  content: [`sha256:${"a".repeat(64)}`],
  registeredAtMs: nowMs - 60_000,
  copies: ["a1", "a2"],
  usedBy: ["shop"],
  ...change,
});

test("image ls shows the catalogue, with what is on its way", async () => {
  const importing = image({
    name: "new",
    state: "importing",
    copies: [],
    usedBy: [],
    doneBytes: 1024,
    totalBytes: 4096,
  });
  await using api = await testApi({ "GET /v1/images": json([image(), importing]) });
  const { exit, out } = await consort(["image", "ls"], { url: api.url });
  assert.equal(exit, 0);
  assert.match(out, /debian +machines +300MiB +2GiB +2 +1m +shop +ready/);
  assert.match(out, /new .* importing 1KiB of 4KiB/);
});

test("image ls of nothing says how to make one", async () => {
  await using api = await testApi({ "GET /v1/images": json([]) });
  assert.equal(
    (await consort(["image", "ls"], { url: api.url })).out,
    "No images. Make one: consort image build tiny\n",
  );
});

test("image show tells what it is made of, and who uses it", async () => {
  await using api = await testApi({ "GET /v1/images/debian": json(image()) });
  const { out } = await consort(["image", "show", "debian"], { url: api.url });
  assert.match(out, /Disk: +qcow2, 2GiB as seen by a guest\n/);
  assert.match(out, /Copies: +a1, a2\n/);
  assert.match(out, /Used by: +shop\n/);
});

test("what a manager says of others' words is told without signs that would take a terminal over", async () => {
  const message = "Cannot use its disk: \u001b]0;taken\u0007 is no format";
  await using api = await testApi({
    "GET /v1/images/debian": json(image({ state: "failed", message })),
    "GET /v1/images/other": refuse("driver_failed", 500, message),
  });
  const { out } = await consort(["image", "show", "debian"], { url: api.url });
  assert.match(out, /State: +failed: Cannot use its disk: {2}\]0;taken {2}is no format\n/);
  const { err } = await consort(["image", "show", "other"], { url: api.url });
  assert.equal(err, "consort: Cannot use its disk:  ]0;taken  is no format\n");
});

test("image add registers an address with its checksum and waits, showing how far it is", async () => {
  const steps = [image({ state: "importing", doneBytes: 1024 }), image()];
  await using api = await testApi({
    "PUT /v1/images/debian": json(image({ state: "importing" })),
    "GET /v1/images/debian": (asked, response) => json(steps.shift())(asked, response),
  });
  const url = "https://host/debian.qcow2";
  const sha256 = "b".repeat(64);
  const { exit, out, err } = await consort(["image", "add", "debian", url, "--sha256", sha256], {
    url: api.url,
  });
  assert.deepEqual([exit, out], [0, "debian is ready: 300MiB, qcow2\n"]);
  assert.equal(err, "debian: importing\ndebian: importing 1KiB\n");
  assert.deepEqual(api.asked[0]?.body, {
    name: "debian",
    role: "base",
    architecture: "amd64",
    features: ["seed"],
    disk: { url, sha256 },
    boot: { kind: "disk", firmware: "bios" },
    origin: url,
  });
});

test("image add fails with the reason of the host that could not bring it in", async () => {
  await using api = await testApi({
    "PUT /v1/images/debian": json(image({ state: "failed", message: "Cannot use this disk: it is VMDK" })),
  });
  const { exit, err } = await consort(["image", "add", "debian", "https://host/x"], { url: api.url });
  assert.equal(exit, 1);
  assert.match(err, /it is VMDK/);
});

/** Takes parts as a host does; the first is cut off on its way. */
function host(size: number): { answer: Answer; got: () => Buffer } {
  let got = Buffer.alloc(0);
  let asked = 0;
  return {
    got: () => got,
    answer: (request, response) => {
      const { fromByte, dataBase64 } = request.body as { fromByte: number; dataBase64: string };
      asked += 1;
      if (asked === 2) return refuse("unavailable", 503, "Cannot reach a host")(request, response);
      if (fromByte === got.length) got = Buffer.concat([got, Buffer.from(dataBase64, "base64")]);
      return json({ haveBytes: got.length, complete: got.length === size })(request, response);
    },
  };
}

test("image upload sends a file in parts, and goes on where the host tells when it is begun again", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "consort-upload-"));
  t.after(() => rm(directory, { recursive: true }));
  const content = randomBytes(2.5 * limits.uploadPartBytes);
  await writeFile(join(directory, "disk.raw"), content);
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  const { answer, got } = host(content.length);
  await using api = await testApi({
    [`PUT /v1/uploads/${encodeURIComponent(digest)}`]: answer,
    "PUT /v1/images/mine": json(image({ name: "mine" })),
  });
  const command = ["image", "upload", "mine", join(directory, "disk.raw")];
  assert.equal((await consort(command, { url: api.url })).exit, 1);
  const { exit, out } = await consort(command, { url: api.url });
  assert.deepEqual([exit, out], [0, "mine is ready: 300MiB, qcow2\n"]);
  assert.deepEqual(got(), content);
  const registered = api.asked.at(-1)?.body as { disk: unknown } | undefined;
  assert.deepEqual(registered?.disk, { digest, sizeBytes: content.length });
});

test("image upload tells of zeros without sending them, and begins again where another host has nothing", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "consort-upload-"));
  t.after(() => rm(directory, { recursive: true }));
  const data = randomBytes(limits.uploadPartBytes);
  const content = Buffer.concat([data, Buffer.alloc(limits.uploadPartBytes * 3), data.subarray(0, 1000)]);
  await writeFile(join(directory, "disk.raw"), content);
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  let got = Buffer.alloc(0);
  const sentBytes: number[] = [];
  const upload: Answer = (request, response) => {
    const {
      fromByte,
      dataBase64,
      zeroBytes = 0,
    } = request.body as {
      fromByte: number;
      dataBase64: string;
      zeroBytes?: number;
    };
    // The host that had the first two parts is no more.
    if (sentBytes.length === 3) got = Buffer.alloc(0);
    const sent = Buffer.from(dataBase64, "base64");
    sentBytes.push(sent.length);
    if (fromByte === got.length) got = Buffer.concat([got, sent, Buffer.alloc(zeroBytes)]);
    return json({ haveBytes: got.length, complete: got.length === content.length })(request, response);
  };
  await using api = await testApi({
    [`PUT /v1/uploads/${encodeURIComponent(digest)}`]: upload,
    "PUT /v1/images/mine": json(image({ name: "mine" })),
  });
  const { exit } = await consort(["image", "upload", "mine", join(directory, "disk.raw")], { url: api.url });
  assert.equal(exit, 0);
  assert.deepEqual(got, content);
  assert.deepEqual(sentBytes, [0, data.length, 0, 1000, data.length, 0, 1000]);
});

test("image rm, gc and discover say what they did", async () => {
  const found = {
    name: "found",
    role: "base",
    architecture: "amd64",
    features: [],
    disk: { url: "sftp://s/f.raw" },
  };
  await using api = await testApi({
    "DELETE /v1/images/debian": (_asked, response) => void response.writeHead(204).end(),
    "POST /v1/content-collected": json({ removed: 2, freedBytes: 1024 }),
    "POST /v1/images-discovered": json([{ ...found, boot: { kind: "disk", firmware: "bios" } }]),
  });
  const say = async (...words: string[]): Promise<string> =>
    (await consort(["image", ...words], { url: api.url })).out;
  assert.equal(await say("rm", "debian"), "debian is removed from the catalogue\n");
  assert.equal(await say("gc"), "2 blobs, 1KiB, removed\n");
  assert.equal(await say("discover", "sftp://s", "--credentials", "store"), "found  sftp://s/f.raw\n");
  assert.deepEqual(api.asked.at(-1)?.body, { url: "sftp://s", credentials: "store" });
});

test("image refuses what is no verb, and the wrong number of arguments", async () => {
  await using api = await testApi({});
  const unknown = await consort(["image", "lss"], { url: api.url });
  assert.equal(unknown.exit, 2);
  assert.match(unknown.err, /ls/);
  assert.match((await consort(["image", "show"], { url: api.url })).err, /wanted: consort image show NAME/);
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { transferLimits } from "#drivers/transfer/limits.ts";
import type { Transfer } from "#drivers/transfer/port.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { s3Store } from "./s3-store.ts";
import type { S3Store } from "./s3-store.ts";
import { cleared, s3Server } from "./servers.ts";

const signal = AbortSignal.timeout(300_000);
const partBytes = transferLimits.transferS3PartBytes;
/** Three parts, the last of them small. */
const sizeBytes = 2 * partBytes + 12_345;

type Rig = {
  readonly store: S3Store;
  readonly transfer: Transfer;
  readonly file: string;
  readonly sha256: string;
};

async function rig(t: TestContext): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-s3-parts-"));
  const store = await s3Store(mkdtempSync(join(directory, "store-")));
  t.after(async () => {
    await store.close();
    cleared(directory);
  });
  const file = join(directory, "large");
  return { store, transfer: openTransfer({ clock: systemClock(), roots: [] }), file, sha256: written(file) };
}

/** Mostly zeros, and something of its own in each part. */
function written(file: string, word = "here"): string {
  const fd = openSync(file, "w");
  for (let at = 0; at < sizeBytes; at += partBytes) writeSync(fd, `${word} ${at}`, at);
  writeSync(fd, ".", sizeBytes - 1);
  closeSync(fd);
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

const partsSent = ({ asked }: S3Store): string[] => asked.filter((what) => what.startsWith("PUT "));

test("what is larger than a part is sent in parts, and is one object", async (t) => {
  const { store, transfer, file, sha256 } = await rig(t);
  const place = { url: `${store.url}large`, secret: store.secret };
  const told: number[] = [];
  await transfer.upload(file, place, ({ doneBytes }) => told.push(doneBytes), signal);
  assert.deepEqual(partsSent(store), ["PUT part 1", "PUT part 2", "PUT part 3"]);
  assert.equal(told.at(-1), sizeBytes);
  const got = await transfer.download(place, `${file}.back`, { sha256 }, () => {}, signal);
  assert.deepEqual(got, { sizeBytes, sha256 });
  assert.deepEqual(store.unfinished(), []);
});

test("a store that lists no uploads takes them in parts all the same", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-s3-plain-"));
  const server = await s3Server(mkdtempSync(join(directory, "store-")));
  t.after(async () => {
    await server.close();
    cleared(directory);
  });
  const transfer = openTransfer({ clock: systemClock(), roots: [] });
  const file = join(directory, "large");
  const sha256 = written(file);
  const place = { url: `${server.url}large`, secret: server.secret };
  await transfer.upload(file, place, () => {}, signal);
  await transfer.download(place, `${file}.back`, { sha256 }, () => {}, signal);
  await transfer.abandonUploads({ url: server.url, secret: server.secret }, signal);
});

test("an upload that was killed is gone on with by whoever comes next, with the parts that are missing", async (t) => {
  const { store, transfer, file, sha256 } = await rig(t);
  const place = { url: `${store.url}large`, secret: store.secret };
  const stop = new AbortController();
  store.fault = (what) => {
    if (what === "PUT part 2") stop.abort(new Error("killed"));
    return what === "PUT part 2";
  };
  await assert.rejects(
    transfer.upload(file, place, () => {}, stop.signal),
    /killed/,
  );
  assert.deepEqual(store.unfinished(), ["large"]);
  store.fault = undefined;
  store.asked.length = 0;
  const another = openTransfer({ clock: systemClock(), roots: [] });
  await another.upload(file, place, () => {}, signal);
  assert.deepEqual(partsSent(store), ["PUT part 2", "PUT part 3"]);
  await transfer.download(place, `${file}.back`, { sha256 }, () => {}, signal);
  assert.deepEqual(store.unfinished(), []);
});

test("parts of a file that is another one now are not kept", async (t) => {
  const { store, transfer, file } = await rig(t);
  const place = { url: `${store.url}large`, secret: store.secret };
  const stop = new AbortController();
  store.fault = (what) => {
    if (what === "PUT part 2") stop.abort(new Error("killed"));
    return what === "PUT part 2";
  };
  await assert.rejects(
    transfer.upload(file, place, () => {}, stop.signal),
    /killed/,
  );
  store.fault = undefined;
  const sha256 = written(file, "else");
  await transfer.upload(file, place, () => {}, signal);
  await transfer.download(place, `${file}.back`, { sha256 }, () => {}, signal);
});

test("a line that breaks in a part costs that part alone", async (t) => {
  const { store, transfer, file, sha256 } = await rig(t);
  const place = { url: `${store.url}large`, secret: store.secret };
  let broken = 0;
  store.fault = (what, request) => {
    if (what !== "PUT part 2" || broken >= 2) return false;
    broken += 1;
    request.once("data", () => request.destroy());
    return true;
  };
  await transfer.upload(file, place, () => {}, signal);
  const parts = ["PUT part 1", "PUT part 2", "PUT part 2", "PUT part 2", "PUT part 3"];
  assert.deepEqual(partsSent(store), parts);
  await transfer.download(place, `${file}.back`, { sha256 }, () => {}, signal);
});

test("a part that arrived damaged is told, and the object does not appear", async (t) => {
  const { store, transfer, file } = await rig(t);
  const place = { url: `${store.url}large`, secret: store.secret };
  store.fault = (what, request, response) => {
    if (what !== "PUT part 2") return false;
    request.resume();
    request.once("end", () => response.writeHead(200, { etag: `"${"0".repeat(32)}"` }).end());
    return true;
  };
  await assert.rejects(
    transfer.upload(file, place, () => {}, signal),
    (error) => codeOf(error) === "unavailable" && /part 2 arrived as "0{32}"/.test(String(error)),
  );
  assert.deepEqual(await transfer.list({ url: store.url, secret: store.secret }, signal), []);
});

test("what was sent in part is abandoned on request, below one place only", async (t) => {
  const { store, transfer, file } = await rig(t);
  const under = (path: string): { url: string; secret: S3Store["secret"] } => ({
    url: `${store.url}${path}`,
    secret: store.secret,
  });
  for (const path of ["mine/large", "mine-not/large"]) {
    const stop = new AbortController();
    store.fault = (what) => {
      if (what === "PUT part 1") stop.abort(new Error("killed"));
      return what === "PUT part 1";
    };
    await assert.rejects(
      transfer.upload(file, under(path), () => {}, stop.signal),
      /killed/,
    );
  }
  store.fault = undefined;
  await transfer.abandonUploads(under("mine"), signal);
  assert.deepEqual(store.unfinished(), ["mine-not/large"]);
  await transfer.abandonUploads(under("mine"), signal);
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { cleared, standIn } from "./servers.ts";

const signal = new AbortController().signal;
const transfer = openTransfer({ clock: systemClock(), roots: [] });

async function serverThat(
  t: TestContext,
  respond: (response: ServerResponse, request: { method: string; url: string; range: string }) => void,
): Promise<{ url: string; file: string; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "consort-hostile-"));
  const server = await standIn(({ method = "", url = "", headers }, response) => {
    respond(response, { method, url, range: headers.range ?? "" });
  });
  t.after(async () => {
    await server.close();
    cleared(directory);
  });
  return { url: `http://127.0.0.1:${server.port}/x`, file: join(directory, "file"), directory };
}

test("content without an end is left at the size that was allowed", async (t) => {
  const { url, file } = await serverThat(t, (response, { method }) => {
    response.writeHead(200);
    if (method === "HEAD") {
      response.end();
      return;
    }
    const chunk = Buffer.alloc(64 * 1024);
    const more = (): void => {
      if (!response.destroyed && response.write(chunk)) setImmediate(more);
    };
    response.on("drain", more);
    more();
  });
  await assert.rejects(
    transfer.download({ url }, file, { sizeBytesMax: 1024 * 1024 }, () => {}, signal),
    (error) => codeOf(error) === "limit_exceeded",
  );
});

test("a size that is told to be too large is not even asked for", async (t) => {
  const methods: string[] = [];
  const { url, file } = await serverThat(t, (response, { method }) => {
    methods.push(method);
    response.writeHead(200, { "content-length": 2 ** 50 }).end();
  });
  await assert.rejects(
    transfer.download({ url }, file, { sizeBytesMax: 1024 }, () => {}, signal),
    (error) => codeOf(error) === "limit_exceeded",
  );
  assert.deepEqual(methods, ["HEAD"]);
});

test("redirects without an end, and to files of this host, are not followed", async (t) => {
  for (const target of ["/x", "file:///etc/passwd", "ftp://127.0.0.1/x"]) {
    const { url, file, directory } = await serverThat(t, (response) => {
      response.writeHead(302, { location: target }).end();
    });
    await assert.rejects(transfer.download({ url }, file, {}, () => {}, signal));
    assert.deepEqual(readdirSync(directory), [], target);
  }
});

test("a line that breaks again and again is gone on with where it broke", async (t) => {
  const content = Buffer.alloc(300_000, "x");
  let asked = 0;
  const { url, file } = await serverThat(t, (response, { method, range }) => {
    const begin = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
    response.writeHead(begin === 0 ? 200 : 206, {
      etag: '"one"',
      "content-length": content.length - begin,
      ...(begin === 0 ? {} : { "content-range": `bytes ${begin}-${content.length - 1}/${content.length}` }),
    });
    if (method === "HEAD") {
      response.end();
      return;
    }
    asked += 1;
    response.write(content.subarray(begin, begin + 100_000), () => response.destroy());
  });
  await transfer.download({ url }, file, {}, () => {}, signal);
  assert.equal(statSync(file).size, content.length);
  assert.ok(asked >= 3, `${asked} times asked`);
});

test("content that became another meanwhile is read from its beginning", async (t) => {
  const contents = [Buffer.alloc(200_000, "a"), Buffer.alloc(200_000, "b")];
  let version = 0;
  const { url, file } = await serverThat(t, (response, { method, range }) => {
    const content = contents[version] ?? Buffer.alloc(0);
    const begin = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
    response.writeHead(begin === 0 ? 200 : 206, {
      etag: `"${version}"`,
      "content-length": content.length - begin,
    });
    if (method === "HEAD") {
      response.end();
      return;
    }
    const isCut = version === 0;
    response.write(content.subarray(begin, isCut ? 100_000 : undefined), () => {
      version = 1;
      if (isCut) response.destroy();
      else response.end();
    });
  });
  const { sizeBytes } = await transfer.download({ url }, file, {}, () => {}, signal);
  assert.equal(sizeBytes, 200_000);
  const text = readFileSync(file, "utf8");
  assert.ok(/^b+$/.test(text), "both versions are mixed");
});

test("a server that answers with failures is asked a few times, and its answer is told", async (t) => {
  let asked = 0;
  const { url, file } = await serverThat(t, (response) => {
    asked += 1;
    response.writeHead(503).end();
  });
  await assert.rejects(
    transfer.download({ url }, file, {}, () => {}, signal),
    (error) => codeOf(error) === "unavailable" && /503/.test(String(error)),
  );
  assert.equal(asked, 4);
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { GuestMessage } from "#drivers/guest/context/port-protocol.ts";
import { ContextLine } from "./context-line.ts";

/** A machine's directory with a guest behind its context port. */
async function guest(): Promise<AsyncDisposable & { directory: string; asked: () => Promise<Socket> }> {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-line-"));
  const server = createServer().listen(join(directory, "context"));
  await once(server, "listening");
  return {
    directory,
    asked: async () => {
      const [socket] = (await once(server, "connection")) as [Socket];
      const [said] = (await once(socket, "data")) as [Buffer];
      assert.equal(said.toString(), "hello\n");
      return socket;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** A line, and what comes over it one by one. */
function follow(directory: string): { line: ContextLine; next: () => Promise<GuestMessage> } {
  const heard: GuestMessage[] = [];
  let wake = (): void => {};
  const line = new ContextLine(directory, (message) => {
    heard.push(message);
    wake();
  });
  const next = async (): Promise<GuestMessage> => {
    for (;;) {
      const message = heard.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { line, next };
}

test("a guest is asked what it told before, and heard from then on", async () => {
  await using there = await guest();
  const { line, next } = follow(there.directory);
  line.listen();
  line.listen();
  const socket = await there.asked();
  socket.write("hello 1\napplied i-1\n");
  assert.equal((await next()).kind, "hello");
  assert.deepEqual(await next(), { kind: "applied", instance: "i-1" });
  socket.write("nonsense\nexited 3\n");
  assert.deepEqual(await next(), { kind: "exited", code: 3 });
  line.hangUp();
  await once(socket, "close");
});

test("a line that was lost can be taken up again", async () => {
  await using there = await guest();
  const { line, next } = follow(there.directory);
  line.listen();
  const first = await there.asked();
  first.write("hello 1\n");
  await next();
  line.hangUp();
  const again = there.asked();
  line.listen();
  (await again).write("exited 0\n");
  assert.deepEqual(await next(), { kind: "exited", code: 0 });
  line.hangUp();
});

test("a guest that tells without end is heard no faster than it has anything to tell", async () => {
  await using there = await guest();
  let heard = 0;
  const enough = Promise.withResolvers<void>();
  const line = new ContextLine(there.directory, () => {
    heard += 1;
    if (heard === 20_000) enough.resolve();
  });
  line.listen();
  const socket = await there.asked();
  const flood = (): void => {
    while (!socket.destroyed && socket.write("exited 1\n".repeat(10_000)));
    if (!socket.destroyed) socket.once("drain", flood);
  };
  const started = performance.now();
  flood();
  await enough.promise;
  const seconds = Math.ceil((performance.now() - started) / 1000);
  line.hangUp();
  socket.destroy();
  // A chunk more than it may, each second.
  assert.ok(heard <= (seconds + 1) * 9200, `${heard} within ${seconds} s`);
});

test("a machine without a context port tells nothing, and harms nobody", async () => {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-line-"));
  const { line } = follow(directory);
  line.listen();
  line.hangUp();
  rmSync(directory, { recursive: true });
});

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { giveState } from "./incoming.ts";
import type { Qmp, QmpEvent } from "./vm.ts";

const never = new AbortController().signal;
const options = { name: "incoming", capabilities: [] } as const;

/** A QEMU that listens as it is told to; what it does with who connects is the test's. */
function listening(t: TestContext, onConnection: (socket: Socket, tell: (event: QmpEvent) => void) => void) {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-incoming-"));
  const listeners = new Set<(event: QmpEvent) => void>();
  const sockets: Socket[] = [];
  let server: Server | undefined;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server?.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const qmp = {
    closed: never,
    onEvent: (listener: (event: QmpEvent) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    execute: async (command: string) => {
      if (command !== "migrate-incoming") return [];
      server = createServer((socket) => {
        sockets.push(socket);
        onConnection(socket, (event) => {
          for (const listener of listeners) listener(event);
        });
      });
      await new Promise<void>((resolve) => server?.listen(join(directory, options.name), resolve));
      return {};
    },
  } as unknown as Qmp;
  return { vm: { qmp, directory, inside: "/vm" }, directory, listeners };
}

test("a state is given once QEMU says that it has all of it", async (t) => {
  const got: Buffer[] = [];
  const { vm, directory, listeners } = listening(t, (socket, tell) => {
    socket.on("data", (chunk: Buffer) => got.push(chunk));
    socket.on("end", () =>
      tell({ event: "MIGRATION", data: { status: "completed" } } as unknown as QmpEvent),
    );
  });
  await giveState(vm, Buffer.from("state"), options, never);
  assert.equal(Buffer.concat(got).toString(), "state");
  assert.deepEqual([existsSync(join(directory, options.name)), listeners.size], [false, 0]);
});

test("a QEMU that takes nothing, or says nothing when it has all, is waited for no longer than is said", async (t) => {
  const closed: Promise<unknown>[] = [];
  const { vm, directory, listeners } = listening(t, (socket) => {
    closed.push(new Promise((resolve) => socket.once("close", resolve)));
    // It reads, to see the end of the line, and never says a word.
    socket.resume();
  });
  await assert.rejects(
    giveState(vm, new Uint8Array(8 * 1024 * 1024), { ...options, silenceMsMax: 50 }, never),
    {
      code: "timeout",
      message: /nothing was heard for 0.05 s/,
    },
  );
  await Promise.all(closed);
  assert.deepEqual([existsSync(join(directory, options.name)), listeners.size], [false, 0]);
});

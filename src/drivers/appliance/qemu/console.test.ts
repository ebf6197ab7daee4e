import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GuestConsole } from "./console.ts";

test("GuestConsole shares one line among all who look at it, and gives it back when the last one leaves", async () => {
  const directory = mkdtempSync(join(tmpdir(), "console-"));
  const path = join(directory, "console");
  const callers: Socket[] = [];
  const typed = Promise.withResolvers<string>();
  const gone = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    callers.push(socket);
    socket.on("data", (chunk) => typed.resolve(String(chunk)));
    socket.once("close", () => gone.resolve());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const line = new GuestConsole(path);
  const heard = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const [first, second] = [new AbortController(), new AbortController()];
  try {
    const one = await line.open((chunk) => heard[0]?.resolve(String(chunk)), first.signal);
    const two = await line.open((chunk) => heard[1]?.resolve(String(chunk)), second.signal);
    two.write(Buffer.from("ls\n"));
    assert.equal(await typed.promise, "ls\n");
    callers[0]?.write("login: ");
    const words = await Promise.all(heard.map(({ promise }) => promise));
    assert.deepEqual(words.map(String), ["login: ", "login: "]);
    assert.equal(callers.length, 1);
    first.abort();
    await one.ended;
    second.abort();
    await gone.promise;
  } finally {
    for (const caller of callers) caller.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
  await assert.rejects(
    line.open(() => {}, new AbortController().signal),
    { code: "unavailable" },
  );
});

test("GuestConsole stays open for who comes while it is given back by another", async () => {
  const directory = mkdtempSync(join(tmpdir(), "console-"));
  const callers: Socket[] = [];
  const server = createServer((socket) => {
    callers.push(socket);
    socket.on("data", () => socket.write("still here"));
  });
  await new Promise<void>((resolve) => server.listen(join(directory, "console"), resolve));
  const line = new GuestConsole(join(directory, "console"));
  const first = new AbortController();
  try {
    await line.open(() => {}, first.signal);
    first.abort();
    const heard = Promise.withResolvers<string>();
    const next = await line.open((chunk) => heard.resolve(String(chunk)), new AbortController().signal);
    await new Promise<void>((resolve) => callers[0]?.once("close", () => resolve()));
    next.write(Buffer.from("ls"));
    assert.equal(await Promise.race([heard.promise, next.ended]), "still here");
  } finally {
    for (const caller of callers) caller.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
});

test("GuestConsole types only so much ahead of a guest that reads nothing", async () => {
  const directory = mkdtempSync(join(tmpdir(), "console-"));
  const called = Promise.withResolvers<Socket>();
  const server = createServer({ pauseOnConnect: true }, called.resolve);
  await new Promise<void>((resolve) => server.listen(join(directory, "console"), resolve));
  const line = new GuestConsole(join(directory, "console"));
  try {
    const open = await line.open(() => {}, new AbortController().signal);
    const typed = Buffer.alloc(16 * 1024, "a");
    for (let times = 0; times < 1000; times += 1) open.write(typed);
    const caller = await called.promise;
    // What is typed once it reads again comes right behind what was kept.
    let arrived = 0;
    const over = Promise.withResolvers<void>();
    caller.on("data", (chunk: Buffer) => {
      arrived += chunk.length;
      if (chunk.includes("!")) over.resolve();
    });
    caller.resume();
    const typing = setInterval(() => open.write(Buffer.from("!")), 1);
    await over.promise;
    clearInterval(typing);
    assert.ok(arrived < 1024 * 1024, `${arrived} of ${typed.length * 1000} bytes were kept`);
  } finally {
    (await called.promise).destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
});

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { connectQmp } from "./qmp.ts";
import type { QmpEvent } from "./vm.ts";

const { signal } = new AbortController();
const greeting = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 } }, capabilities: [] } };

type Command = { readonly execute: string; readonly arguments: unknown; readonly id: number };
type Script = (command: Command, say: (message: unknown) => void, socket: Socket) => void;

/** A monitor that answers its negotiation, and the rest as the script says. */
class Monitor implements AsyncDisposable {
  readonly path: string;
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(script: Script, first: string, deep: number) {
    this.#directory = mkdtempSync(join(tmpdir(), `qmp-${"x".repeat(deep)}`));
    this.path = join(this.#directory, "qmp");
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      const say = (message: unknown): void => void socket.write(`${JSON.stringify(message)}\r\n`);
      socket.on("error", () => {});
      socket.write(first);
      createInterface({ input: socket }).on("line", (line) => {
        const command = JSON.parse(line) as Command;
        if (command.execute === "qmp_capabilities") say({ return: {}, id: command.id });
        else script(command, say, socket);
      });
    });
  }

  static async listening(script: Script, first = `${JSON.stringify(greeting)}\r\n`, deep = 0) {
    const monitor = new Monitor(script, first, deep);
    const directory = openSync(monitor.#directory, "r");
    await new Promise<void>((resolve) => monitor.#server.listen(`/proc/self/fd/${directory}/qmp`, resolve));
    closeSync(directory);
    return monitor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const silent: Script = () => {};

test("connectQmp() answers commands by their numbers, whatever order the answers come in", async () => {
  const held: Command[] = [];
  await using monitor = await Monitor.listening((command, say) => {
    held.push(command);
    if (held.length < 2) return;
    for (const { id, execute } of held.toReversed()) say({ return: { was: execute }, id });
  });
  const qmp = await connectQmp(monitor.path, signal);
  const answers = await Promise.all([
    qmp.execute("query-status", {}, signal),
    qmp.execute("query-block", {}, signal),
  ]);
  assert.deepEqual(answers, [{ was: "query-status" }, { was: "query-block" }]);
  qmp.close();
});

test("connectQmp() waits no longer than it may for an answer, and hears the next one", async () => {
  await using monitor = await Monitor.listening(({ execute, id }, say) => {
    if (execute !== "stop") say({ return: {}, id });
  });
  const qmp = await connectQmp(monitor.path, signal, millis(50));
  await assert.rejects(qmp.execute("stop", {}, signal), {
    code: "unavailable",
    message: /^Cannot execute stop: QEMU at .* does not answer$/,
  });
  assert.equal(qmp.closed.aborted, false);
  assert.deepEqual(await qmp.execute("query-status", {}, signal), {});
  qmp.close();
});

test("connectQmp() rejects with QEMU's own words, and goes on", async () => {
  await using monitor = await Monitor.listening(({ execute, id }, say) =>
    say(
      execute === "quit"
        ? { return: {}, id }
        : { error: { class: "CommandNotFound", desc: "The command foo has not been found" }, id },
    ),
  );
  const qmp = await connectQmp(monitor.path, signal);
  await assert.rejects(qmp.execute("foo", {}, signal), {
    code: "driver_failed",
    message: "Cannot execute foo: The command foo has not been found",
  });
  assert.deepEqual(await qmp.execute("quit", {}, signal), {});
  qmp.close();
});

test("connectQmp() tells events between answers to whoever still listens", async () => {
  await using monitor = await Monitor.listening(({ id }, say) => {
    say({ event: "RESET", data: { guest: true }, timestamp: { seconds: 2, microseconds: 500_000 } });
    say({ return: {}, id });
  });
  const qmp = await connectQmp(monitor.path, signal);
  const heard: QmpEvent[] = [];
  const end = qmp.onEvent((event) => heard.push(event));
  await qmp.execute("system_reset", {}, signal);
  end();
  await qmp.execute("system_reset", {}, signal);
  assert.deepEqual(heard, [{ event: "RESET", data: { guest: true }, timestampMs: 2500 }]);
  qmp.close();
});

test("connectQmp() rejects what waits, and all that follows, when the line is lost", async () => {
  await using monitor = await Monitor.listening((_command, _say, socket) => socket.destroy());
  const qmp = await connectQmp(monitor.path, signal);
  await assert.rejects(qmp.execute("query-status", {}, signal), { code: "unavailable" });
  assert.equal(qmp.closed.aborted, true);
  await assert.rejects(qmp.execute("query-status", {}, signal), { code: "unavailable" });
});

test("connectQmp() hangs up on what no QEMU would say", async () => {
  for (const nonsense of ["no json\n", "[1]\n", "x".repeat(5 * 1024 * 1024)]) {
    await using monitor = await Monitor.listening((_command, _say, socket) => void socket.write(nonsense));
    const qmp = await connectQmp(monitor.path, signal);
    await assert.rejects(qmp.execute("query-status", {}, signal), { code: "unavailable" });
  }
});

test("connectQmp() gives up a command, and a greeting, when its caller does", async () => {
  await using monitor = await Monitor.listening(silent);
  const qmp = await connectQmp(monitor.path, signal);
  const reason = new Error("given up");
  const giveUp = new AbortController();
  const waiting = qmp.execute("query-status", {}, giveUp.signal);
  giveUp.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(qmp.closed.aborted, false);
  qmp.close();
  await using mute = await Monitor.listening(silent, "");
  const later = new AbortController();
  const greeted = connectQmp(mute.path, later.signal);
  later.abort(reason);
  await assert.rejects(greeted, reason);
});

test("connectQmp() reaches a socket by a path longer than the kernel takes, and nothing but a socket", async () => {
  await using monitor = await Monitor.listening(({ id }, say) => say({ return: 1, id }), undefined, 150);
  const qmp = await connectQmp(monitor.path, signal);
  assert.equal(await qmp.execute("query-status", {}, signal), 1);
  qmp.close();
  await assert.rejects(connectQmp("/dev/null", signal), { code: "unavailable" });
  await assert.rejects(connectQmp(join(tmpdir(), "nobody-is-here"), signal), { code: "unavailable" });
});

test("a guest that makes event after event is heard as often as it may be, and its QEMU's answers still come", async () => {
  const event = `${JSON.stringify({ event: "RESET", data: { guest: true } })}\r\n`;
  const events = event.repeat(100_000);
  await using monitor = await Monitor.listening(({ id }, say, socket) => {
    say({ return: {}, id });
    socket.write(events);
  });
  const qmp = await connectQmp(monitor.path, signal);
  let heard = 0;
  const started = performance.now();
  const enough = Promise.withResolvers<void>();
  qmp.onEvent(() => {
    heard += 1;
    if (heard === 10_000) enough.resolve();
  });
  await qmp.execute("query-status", {}, signal);
  await enough.promise;
  const seconds = Math.ceil((performance.now() - started) / 1000);
  // So many in a second, and those that came with the last of them.
  assert.ok(heard <= seconds * 5000, `${heard} within ${seconds} s`);
  qmp.close();
});

test("what is made of millions of parts is no QEMU's", async () => {
  await using monitor = await Monitor.listening((_command, _say, socket) => {
    socket.write(`{"event":"RESET","data":{"x":[${"[],".repeat(500_000)}[]]}}\r\n`);
  });
  const qmp = await connectQmp(monitor.path, signal);
  await assert.rejects(qmp.execute("query-status", {}, signal), { code: "unavailable" });
});

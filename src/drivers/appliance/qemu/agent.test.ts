import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { systemClock } from "#drivers/system/clock.ts";
import { PortAgent } from "./agent.ts";
import { execInGuest } from "./guest-exec.ts";

const { signal } = new AbortController();
const clock = systemClock();
type Question = { readonly execute: string; readonly arguments: { readonly id?: number } };
type Guest = (question: Question, socket: Socket) => unknown;

/** An agent that answers its synchronisation, and the rest as the guest would have it. */
async function withGuest(guest: Guest, use: (agent: PortAgent) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "agent-"));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    createInterface({ input: socket }).on("line", (line) => {
      const question = JSON.parse(line.replace(/^\ufffd+/, "")) as Question;
      const answer =
        question.execute === "guest-sync" ? { return: question.arguments.id } : guest(question, socket);
      if (answer !== undefined) socket.write(`${JSON.stringify(answer)}\n`);
    });
  });
  const path = join(directory, "agent");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const agent = new PortAgent(path, clock);
  try {
    await use(agent);
  } finally {
    agent.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
}

test("an agent's answers come one after the other, and its refusals in its own words", async () => {
  await withGuest(
    ({ execute }) => (execute === "guest-ping" ? { return: {} } : { error: { desc: "not allowed" } }),
    async (agent) => {
      assert.equal(agent.answers(), false);
      assert.deepEqual(await agent.execute("guest-ping", {}, signal), {});
      assert.equal(agent.answers(), true);
      await assert.rejects(agent.execute("guest-exec", {}, signal), {
        code: "driver_failed",
        message: /not allowed/,
      });
    },
  );
});

test("an agent that says something else first, and then nonsense, is still understood", async () => {
  await withGuest(
    (_question, socket) => {
      socket.write("nonsense\n[1,2]\n\n");
      return { return: 7 };
    },
    async (agent) => assert.equal(await agent.execute("guest-info", {}, signal), 7),
  );
});

test("an agent that never answers is given up with its caller, and asked anew the next time", async () => {
  const asked = Promise.withResolvers<void>();
  let times = 0;
  await withGuest(
    () => {
      asked.resolve();
      times += 1;
      return times === 1 ? undefined : { return: "second" };
    },
    async (agent) => {
      const reason = new Error("given up");
      const giveUp = new AbortController();
      const first = agent.execute("guest-info", {}, giveUp.signal);
      await asked.promise;
      giveUp.abort(reason);
      await assert.rejects(first, reason);
      assert.equal(await agent.execute("guest-info", {}, signal), "second");
    },
  );
});

test("an agent that talks without end is hung up on, and costs no more than one answer may", async () => {
  await withGuest(
    (_question, socket) => {
      const flood = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(1 << 20, "x")));
        if (!socket.destroyed) socket.once("drain", flood);
      };
      flood();
      return undefined;
    },
    async (agent) => {
      await assert.rejects(agent.execute("guest-info", {}, signal), { code: "unavailable" });
    },
  );
});

test("an answer made of millions of parts, or of more lines than there are answers, is hung up on unread", async () => {
  const many = "[],".repeat(1_000_000);
  const tricks: readonly Guest[] = [
    (_question, socket) => void socket.write(`{"return":{"exited":true,"x":[${many}[]]}}\n`),
    (_question, socket) => void socket.write(`{"return":${"[".repeat(1_000_000)}\n`),
    (_question, socket) => void socket.write("\n".repeat(10_000)),
    (_question, socket) => void socket.write(Buffer.alloc(4_000_000, 0xff)),
  ];
  for (const [index, trick] of tricks.entries()) {
    const command = index < 3 ? "guest-exec-status" : "guest-ping";
    await withGuest(trick, async (agent) => {
      await assert.rejects(agent.execute(command, {}, signal), { code: "unavailable" }, `trick ${index}`);
    });
  }
});

test("a program's whole output is heard, however long it is", async () => {
  const output = "x".repeat(16 * 1024 * 1024);
  await withGuest(
    () => ({ return: { exited: true, "out-data": output } }),
    async (agent) => {
      const status = await agent.execute("guest-exec-status", {}, signal);
      assert.deepEqual(status, { exited: true, "out-data": output });
    },
  );
});

test("a program's end is told with what it wrote, and a lie about it is a number all the same", async () => {
  const ended = (more: Record<string, unknown>): Guest => {
    return ({ execute }) => ({ return: execute === "guest-exec" ? { pid: 5 } : { exited: true, ...more } });
  };
  const run = async (guest: Guest): Promise<[number, string]> => {
    let output = "";
    let code = -1;
    const onOutput = (_stream: string, chunk: Uint8Array): void => {
      output += Buffer.from(chunk).toString();
    };
    const request = { command: ["id"], env: {}, onOutput };
    await withGuest(guest, async (agent) => {
      code = await execInGuest(agent, request, clock, signal);
    });
    return [code, output];
  };
  const hello = Buffer.from("hello\n").toString("base64");
  assert.deepEqual(await run(ended({ exitcode: 3, "out-data": hello })), [3, "hello\n"]);
  assert.deepEqual(await run(ended({ signal: 9 })), [137, ""]);
  assert.deepEqual(await run(ended({ exitcode: -1e99, "out-data": 17 })), [255, ""]);
  await assert.rejects(
    run(() => ({ return: { pid: "five" } })),
    { code: "driver_failed" },
  );
});

test("who wants a program run in a guest that has not booted is told what is waited for", async () => {
  const hangsUp: Guest = (_question, socket) => void socket.destroy();
  await withGuest(hangsUp, async (agent) => {
    const request = { command: ["id"], env: {}, onOutput: () => {} };
    await assert.rejects(execInGuest(agent, request, clock, signal), {
      code: "unavailable",
      message: /agent of its guest does not answer, wanted one that has booted; consort describe/,
    });
  });
});

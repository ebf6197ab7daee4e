import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { CommandContext } from "#cli/command.ts";
import { runCommandLine } from "#cli/run.ts";

/** For tests: a real HTTP server that answers as told, and command lines run against it. */
export type Asked = {
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
  readonly token: string;
};
export type Answer = (asked: Asked, response: ServerResponse) => void;

export type TestApi = AsyncDisposable & { readonly url: string; readonly asked: readonly Asked[] };

export const nowMs = 1_750_000_000_000;

/** Answers by "METHOD /path", the query left out. What is not listed is the API's own not_found. */
export async function testApi(answers: Readonly<Record<string, Answer>>): Promise<TestApi> {
  const asked: Asked[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request);
    const one = {
      method: request.method ?? "",
      url: request.url ?? "",
      body: body === "" ? undefined : (JSON.parse(body) as unknown),
      token: request.headers.authorization ?? "",
    };
    asked.push(one);
    const answer = answers[`${one.method} ${one.url.split("?")[0]}`];
    if (answer === undefined) refuse("not_found", 404, "Cannot find that: no such thing")(one, response);
    else answer(one, response);
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const json =
  (value: unknown, status = 200): Answer =>
  (_asked, response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

export const refuse = (code: string, status: number, message: string, problems?: unknown): Answer =>
  json({ error: { code, message, ...(problems === undefined ? {} : { problems }) } }, status);

export type Outcome = { readonly exit: number; readonly out: string; readonly err: string };

/** Runs one command line as a program would see it: no terminal, fixed time, no environment. */
export async function consort(
  args: readonly string[],
  options: {
    url?: string;
    runRoot?: string;
    interrupt?: AbortSignal;
    input?: string;
    onErr?: (line: string) => void;
    tools?: CommandContext["tools"];
    clock?: Clock;
    outIsTerminal?: boolean;
    errIsTerminal?: boolean;
  } = {},
): Promise<Outcome> {
  let out = "";
  let err = "";
  let elapsedMs = 0;
  const exit = await runCommandLine(args, {
    terminal: {
      out: (content) => void (out += typeof content === "string" ? content : Buffer.from(content).toString()),
      err: (content) => {
        const line = typeof content === "string" ? content : Buffer.from(content).toString();
        err += line;
        options.onErr?.(line);
      },
      outIsTerminal: options.outIsTerminal ?? false,
      errIsTerminal: options.errIsTerminal ?? false,
      columns: () => 100,
      rows: () => 24,
      async *keys() {
        yield new TextEncoder().encode(options.input ?? "");
      },
      readInput: () => Promise.resolve(new TextEncoder().encode(options.input ?? "")),
    },
    surroundings: {
      lab: "lab",
      runRoot: options.runRoot ?? "/nonexistent",
      stateRoot: "/nonexistent",
      ...(options.url === undefined ? {} : { apiUrl: options.url }),
    },
    tools: options.tools ?? {
      doctor: () => Promise.reject(new Error("no doctor in this test")),
      labMachine: () => Promise.reject(new Error("no lab in this test")),
      programRunner: () => Promise.reject(new Error("no programs in this test")),
      guestBuilder: () => Promise.reject(new Error("no guests are built in this test")),
    },
    clock: options.clock ?? {
      now: () => millis(nowMs),
      monotonic: () => millis(elapsedMs),
      sleep: async (delay, signal) => {
        elapsedMs += delay;
        // Real sockets need the event loop to turn, however short the virtual sleep.
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
      },
      timer: (_delay, run) => {
        const soon = setImmediate(run);
        return () => clearImmediate(soon);
      },
    },
    signal: options.interrupt ?? new AbortController().signal,
    afterwards: new AbortController().signal,
  });
  return { exit, out, err };
}

import { codeOf, ConsortError, errorTable, messageOf } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { findApi } from "#cli/address.ts";
import type { ApiAddress } from "#cli/address.ts";
import type { Arguments } from "#cli/arguments.ts";
import type { CommandContext } from "#cli/command.ts";

/** Small client of the HTTP API. The caller names the shape (src/protocol/http): the manager is trusted to keep it. */
export type Client = {
  /** One JSON answer. Throws the API's own error, or `unavailable` when nobody answers. */
  request<Answer>(
    method: "GET" | "PUT" | "POST" | "DELETE",
    path: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<Answer>;
  /** Lines of a streamed answer (NDJSON, SSE) or of a text, without their ends. */
  lines(
    method: "GET" | "POST",
    path: string,
    signal: AbortSignal,
    options?: { body?: unknown; headers?: Readonly<Record<string, string>>; opened?: () => void },
  ): AsyncGenerator<string>;
  /** The whole answer as text. */
  text(path: string, signal: AbortSignal): Promise<string>;
};

/** A client of the manager that the arguments or surroundings name. */
export async function connect(given: Arguments, context: CommandContext): Promise<Client> {
  return clientOf(await findApi(given, context.surroundings));
}

export function clientOf({ url, token }: ApiAddress): Client {
  const send = async (
    method: string,
    path: string,
    signal: AbortSignal,
    options: { body?: unknown; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Response> => {
    const response = await fetch(`${url}${path}`, {
      method,
      signal,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    }).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw unreachable(url, cause);
    });
    if (!response.ok) throw await refusal(response);
    return response;
  };
  return {
    async request<Answer>(method: string, path: string, signal: AbortSignal, body?: unknown) {
      const response = await send(method, path, signal, body === undefined ? {} : { body });
      const text = await response.text();
      return (text === "" ? undefined : JSON.parse(text)) as Answer;
    },
    async *lines(method, path, signal, options) {
      const response = await send(method, path, signal, options);
      options?.opened?.();
      if (response.body !== null) yield* linesOf(response.body, url, signal);
    },
    async text(path, signal) {
      return (await send("GET", path, signal)).text();
    },
  };
}

async function* linesOf(
  body: ReadableStream<Uint8Array>,
  url: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let partial = "";
  try {
    for await (const chunk of body) {
      const parts = (partial + decoder.decode(chunk, { stream: true })).split("\n");
      partial = parts.pop() ?? "";
      for (const part of parts) yield part.replace(/\r$/, "");
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(url, cause);
  }
  if (partial !== "") yield partial;
}

function unreachable(url: string, cause: unknown): ConsortError {
  const reason = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  return new ConsortError(
    "unavailable",
    `Cannot reach the manager at ${url}: ${messageOf(reason)}; is it running? (consort lab status)`,
    { cause },
  );
}

/** The API's `{ error: { code, message, details?, problems? } }` as an error of ours; anything else by its status. */
async function refusal(response: Response): Promise<ConsortError> {
  const text = await response.text().catch(() => "");
  const told = errorIn(text);
  const message =
    told?.message ?? `Cannot do that: the manager answered ${response.status} ${text.slice(0, 200)}`.trim();
  const code = told === undefined ? codeOfStatus(response.status) : codeOf(told);
  const { problems, refusals } = told ?? {};
  return new ConsortError(code, message, {
    details: {
      status: response.status,
      ...(problems === undefined ? {} : { problems }),
      ...(refusals === undefined ? {} : { refusals }),
    },
  });
}

type Told = { code: string; message: string; problems?: unknown; refusals?: unknown };

function errorIn(text: string): Told | undefined {
  try {
    const value = JSON.parse(text) as { error?: Partial<Told> & { details?: { refusals?: unknown } } };
    const { code, message, problems, details } = value.error ?? {};
    if (typeof code !== "string" || typeof message !== "string") return undefined;
    return { code, message, problems, refusals: details?.refusals };
  } catch {
    return undefined;
  }
}

function codeOfStatus(status: number): ErrorCode {
  for (const [code, row] of Object.entries(errorTable)) if (row.http === status) return code as ErrorCode;
  return "internal";
}

/** A path with its names escaped: route`/v1/ensembles/${name}`. */
export function route(parts: TemplateStringsArray, ...names: readonly string[]): string {
  return parts.reduce((text, part, index) => `${text}${encodeURIComponent(names[index - 1] ?? "")}${part}`);
}

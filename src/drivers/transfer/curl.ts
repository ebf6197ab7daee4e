import { spawn } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ConsortError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import type { Address } from "./address.ts";
import { transferLimits } from "./limits.ts";

/** Options as in curl's configuration files, without the dashes; `true` for one without a value. */
export type CurlOption = readonly [name: string, value: string | true];

export type CurlRun = {
  readonly options: readonly CurlOption[];
  /** Schemes that redirects may lead to; empty: none is followed. */
  readonly redirectsTo?: readonly string[];
  /** Where the content goes; absent: into the answer. */
  readonly outputFd?: number;
  /** What it reads as the file `inputFile`. */
  readonly input?: Readable;
  /** Called now and then while it runs; what it throws ends the run. */
  readonly look?: (pid: number) => void;
};

export type CurlAnswer = { readonly status: number; readonly text: string; readonly redirect: string };

/** Of a run that is given its input. */
export const inputFile = "-";

const lastWordsLength = 300;
const told = /^consort-status=(\d*) redirect=(.*)$/m;

/**
 * Runs curl once. What it is to do goes through a pipe, or a file without a name, so that no secret shows in the list of processes, and it reads no
 * configuration of a user's. Rejects with the code of what went wrong; `conflict`: this server cannot go on where asked.
 */
export async function curl(
  { netns }: Pick<Address, "netns">,
  run: CurlRun,
  signal: AbortSignal,
): Promise<CurlAnswer> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
  const config = [...common(run), ...run.options].map(configLine).join("");
  const { input = Readable.from([config], { objectMode: false }) } = run;
  const fd = run.input === undefined ? undefined : unnamedFile(config);
  // Whoever goes on after this process has died must not find another curl at the same file.
  const args = [
    "--pdeathsig",
    "KILL",
    ...enter,
    "curl",
    "--disable",
    "--config",
    fd === undefined ? "-" : configFile,
  ];
  const child = spawn("setpriv", args, {
    stdio: ["pipe", run.outputFd ?? "pipe", "pipe", ...(fd === undefined ? [] : [fd])],
    signal: AbortSignal.any([signal, stop.signal]),
    killSignal: "SIGKILL",
  });
  if (fd !== undefined) closeSync(fd);
  const looking = setInterval(() => {
    try {
      if (child.pid !== undefined) run.look?.(child.pid);
    } catch (cause) {
      stop.abort(cause);
    }
  }, transferLimits.transferLookMs);
  let [text, words] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length > transferLimits.transferAnswerBytesMax)
      stop.abort(new ConsortError("limit_exceeded", "Cannot read an answer of a server: it does not end"));
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-transferLimits.addressCharactersMax * 4);
  });
  // It ends as curl does: what cannot be read makes curl send too little, and what curl does not want is not read.
  if (child.stdin !== null) pipeline(input, child.stdin).catch(() => {});
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", (cause) => {
        if (!signal.aborted && !stop.signal.aborted)
          reject(new ConsortError("driver_failed", `Cannot start curl: ${cause.message}`, { cause }));
      });
      child.once("close", (exit) => resolve(exit ?? -1));
    });
    signal.throwIfAborted();
    if (stop.signal.aborted) throw stop.signal.reason;
    const [, status = "", redirect = ""] = told.exec(words) ?? [];
    if (code !== 0) throw failure(code, Number(status), words.replace(told, "").trim(), serverOf(run));
    return { status: Number(status), text, redirect };
  } finally {
    clearInterval(looking);
  }
}

/** Where a program finds what it was given as its fourth file. */
const configFile = "/dev/fd/3";

/** Only who is given it can read it: it has no name any more. */
function unnamedFile(content: string): number {
  const directory = mkdtempSync(join(tmpdir(), "consort-curl-"));
  try {
    const path = join(directory, "config");
    writeFileSync(path, content, { mode: 0o600 });
    return openSync(path, "r");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** How far a program has read a file, in bytes; undefined when it has not begun. */
export function readPosition(pid: number, file: string): number | undefined {
  try {
    const fd = readdirSync(`/proc/${pid}/fd`).find((one) => readlinkSync(`/proc/${pid}/fd/${one}`) === file);
    if (fd === undefined) return undefined;
    return Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1]);
  } catch {
    // It may end at any moment.
    return undefined;
  }
}

function common({ redirectsTo = [] }: CurlRun): CurlOption[] {
  return [
    ["silent", true],
    ["show-error", true],
    ["fail", true],
    ["globoff", true],
    ["path-as-is", true],
    ["connect-timeout", String(transferLimits.transferConnectSeconds)],
    ["speed-limit", "1"],
    ["speed-time", String(transferLimits.transferSilenceSeconds)],
    ["write-out", "%{stderr}\nconsort-status=%{http_code} redirect=%{redirect_url}\n"],
    ...(redirectsTo.length === 0
      ? []
      : ([
          ["location", true],
          ["max-redirs", String(transferLimits.redirectsMax)],
          ["proto-redir", `=${redirectsTo.join(",")}`],
        ] as const)),
  ];
}

function configLine([name, value]: CurlOption): string {
  if (value === true) return `${name}\n`;
  const escaped = value
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r");
  return `${name} = "${escaped}"\n`;
}

/** curl's exit codes, as its manual numbers them. */
const codes: Readonly<Record<number, ErrorCode>> = {
  1: "unsupported",
  3: "bad_input",
  4: "unsupported",
  9: "not_found",
  26: "bad_input",
  33: "conflict",
  36: "conflict",
  51: "forbidden",
  58: "bad_input",
  60: "forbidden",
  63: "limit_exceeded",
  67: "forbidden",
  70: "limit_exceeded",
  73: "conflict",
  78: "not_found",
};

/** Who was asked, in as much of the address as has no secrets. */
function serverOf({ options }: CurlRun): string {
  const url = options.find(([name]) => name === "url")?.[1];
  const host = typeof url === "string" ? (URL.parse(url)?.host ?? "") : "";
  return host === "" ? "" : `; ${host} was asked`;
}

function failure(exit: number, status: number, words: string, asked: string): ConsortError {
  const code = codes[exit] ?? (exit === 22 ? codeOfStatus(status) : "unavailable");
  const said = words.slice(-lastWordsLength).replace(/^curl: /, "");
  return new ConsortError(
    code,
    `Cannot transfer: ${said === "" ? `curl ended with ${exit}` : said}${asked}`,
    {
      details: { exit, status },
    },
  );
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 404 || status === 410) return "not_found";
  if (status === 401 || status === 403 || status === 407) return "forbidden";
  if (status === 416 || status === 412) return "conflict";
  return status >= 500 || status === 408 || status === 429 ? "unavailable" : "driver_failed";
}

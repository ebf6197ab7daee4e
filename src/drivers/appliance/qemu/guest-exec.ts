import { Buffer } from "node:buffer";
import { codeOf, ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { ExecRequest } from "#drivers/appliance/port.ts";
import { isJson } from "./guest-json.ts";
import type { GuestAgent } from "./vm.ts";

const firstLookMs = 20;
const lookMsMax = 500;
const defaultEnv = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };

/**
 * Runs a program in a guest by its agent, as root of the guest. Its output comes when it has ended, the first 16 MiB of
 * it. Resolves with its exit code, 128 + signal number if it was killed; given up, it is killed.
 */
export async function execInGuest(
  agent: GuestAgent,
  request: ExecRequest,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const [path, ...arg] = request.command;
  if (path === undefined) throw new ConsortError("bad_input", "Cannot run a program: no command was given");
  const env = Object.entries({ ...defaultEnv, ...request.env }).map(([name, value]) => `${name}=${value}`);
  const stdin = request.stdin === undefined ? {} : { "input-data": base64(request.stdin) };
  const args = { path, arg, env, "capture-output": true, ...stdin };
  const started = await agent.execute("guest-exec", args, signal).catch((cause: unknown) => {
    throw codeOf(cause) === "unavailable" && !signal.aborted ? notBooted(cause) : cause;
  });
  const pid = isJson(started) ? started["pid"] : undefined;
  if (typeof pid !== "number") throw nonsense("guest-exec");
  try {
    for (let pauseMs = firstLookMs; ; pauseMs = Math.min(pauseMs * 2, lookMsMax)) {
      const status = await agent.execute("guest-exec-status", { pid }, signal);
      if (!isJson(status)) throw nonsense("guest-exec-status");
      if (status["exited"] === true) return told(status, request);
      await clock.sleep(millis(pauseMs), signal);
    }
  } catch (cause) {
    if (signal.aborted) kill(agent, pid);
    throw cause;
  }
}

const notBooted = (cause: unknown): ConsortError =>
  new ConsortError(
    "unavailable",
    "Cannot run a program: the agent of its guest does not answer, wanted one that has booted; consort describe tells when it answers",
    { cause },
  );

function told(status: Readonly<Record<string, unknown>>, { onOutput }: ExecRequest): number {
  for (const [stream, name] of [
    ["stdout", "out-data"],
    ["stderr", "err-data"],
  ] as const) {
    const data = status[name];
    if (typeof data === "string" && data !== "") onOutput(stream, Buffer.from(data, "base64"));
  }
  const { exitcode, signal } = status;
  if (isCode(exitcode)) return exitcode;
  return isCode(signal) ? 128 + signal : 255;
}

const isCode = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;

/** As far as the guest does as it is told; nobody waits for it. */
function kill(agent: GuestAgent, pid: number): void {
  const args = { path: "kill", arg: ["-9", String(pid)], env: [`PATH=${defaultEnv.PATH}`] };
  agent.execute("guest-exec", args, new AbortController().signal).catch(() => {});
}

const base64 = (content: Uint8Array): string => Buffer.from(content).toString("base64");

const nonsense = (command: string): ConsortError =>
  new ConsortError(
    "driver_failed",
    `Cannot run a program: the guest's agent answered ${command} with nonsense`,
  );

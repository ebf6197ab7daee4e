import { spawn } from "node:child_process";
import { constants } from "node:os";
import { ConsortError } from "#base/errors.ts";
import type { ProcessResult, RunOptions, Subprocess } from "#drivers/system/port.ts";

const lastWordsLength = 400;

/** Real programs on this machine. */
export function systemSubprocess(): Subprocess {
  return {
    run,
    async check(file, args, signal, options) {
      const result = await run(file, args, signal, options);
      if (result.code === 0) return result.stdout;
      const words = (result.stderr.trim() || result.stdout.trim()).slice(-lastWordsLength);
      throw new ConsortError(
        "driver_failed",
        `Cannot run ${file} ${args.join(" ")}: exit code ${result.code}: ${words}`,
        {
          details: { file, args, code: result.code },
        },
      );
    },
  };
}

function run(
  file: string,
  args: readonly string[],
  signal: AbortSignal,
  options: RunOptions = {},
): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const child = spawn(file, args, {
      // The types know three pipes at most; what follows them is only passed on.
      stdio: ["pipe", "pipe", "pipe", ...(options.inherit ?? [])] as unknown as ["pipe", "pipe", "pipe"],
      ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      signal,
    });
    let overdue = false;
    // Not spawn's own `timeout`: when the program does not exist, its timer holds the process until it fires.
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            overdue = true;
            child.kill("SIGKILL");
          }, options.timeoutMs);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const { outputBytesMax = Infinity } = options;
    let leftBytes = outputBytesMax;
    const keepIn = (kept: Buffer[]) => (chunk: Buffer) => {
      leftBytes -= chunk.length;
      if (leftBytes >= 0) kept.push(chunk);
      else child.kill("SIGKILL");
    };
    child.stdout.on("data", keepIn(stdout));
    child.stderr.on("data", keepIn(stderr));
    // A program that does not read its input closes the pipe early; its exit code tells the story.
    child.stdin.on("error", () => {});
    child.once("error", (cause) => {
      clearTimeout(timer);
      if (signal.aborted) reject(signal.reason);
      else reject(new ConsortError("driver_failed", `Cannot start ${file}: ${cause.message}`, { cause }));
    });
    child.once("close", (code, killedBy) => {
      clearTimeout(timer);
      if (signal.aborted) return reject(signal.reason);
      if (leftBytes < 0) {
        const words = `Cannot finish ${file}: it wrote more than ${outputBytesMax} bytes`;
        return reject(new ConsortError("limit_exceeded", words));
      }
      if (code === null && overdue) {
        return reject(
          new ConsortError("timeout", `Cannot finish ${file}: still running after ${options.timeoutMs} ms`),
        );
      }
      resolve({
        code: code ?? 128 + (killedBy === null ? 0 : constants.signals[killedBy]),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    child.stdin.end(options.input ?? "");
  });
}

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { ProcessMark } from "./decide.ts";

/**
 * User-space tunnel programs. They outlive us on purpose: a restarted manager finds them by the pid and start time
 * on record, or, if it died between start and record, by a variable in their environment.
 */
const variable = "CONSORT_TUNNEL";
const pollMs = millis(5);
const graceMs = millis(1000);

export function startDaemon(
  file: string,
  args: readonly string[],
  device: string,
  logFile: string,
  env: Readonly<Record<string, string>>,
): Promise<ProcessMark> {
  return new Promise((resolve, reject) => {
    const log = openSync(logFile, "w", 0o600);
    const child = spawn(file, args, {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", ...env, [variable]: device },
    });
    closeSync(log);
    child.once("error", (cause) =>
      reject(new ConsortError("driver_failed", `Cannot start ${file}: ${cause.message}`, { cause })),
    );
    child.once("spawn", () => {
      child.unref();
      const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
      if (child.pid === undefined || startTime === undefined) {
        reject(new ConsortError("driver_failed", `Cannot start ${file}: it ended at once`));
      } else resolve({ pid: child.pid, startTime });
    });
  });
}

export const isAlive = (mark: ProcessMark): boolean => startTimeOf(mark.pid) === mark.startTime;

/** Processes started for a device, whoever of us started them. */
export function findDaemons(device: string): ProcessMark[] {
  const wanted = `${variable}=${device}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const environment = readFileSync(`/proc/${name}/environ`, "latin1").split("\0");
        const startTime = environment.includes(wanted) ? startTimeOf(Number(name)) : undefined;
        return startTime === undefined ? [] : [{ pid: Number(name), startTime }];
      } catch {
        return [];
      }
    });
}

/** Asks, then insists. Resolves when it is gone. */
export async function stopDaemon(mark: ProcessMark, clock: Clock, signal: AbortSignal): Promise<void> {
  const asked = clock.monotonic();
  let insisted = false;
  send(mark, "SIGTERM");
  while (isAlive(mark)) {
    if (!insisted && clock.monotonic() - asked > graceMs) {
      send(mark, "SIGKILL");
      insisted = true;
    }
    await clock.sleep(pollMs, signal);
  }
}

function send(mark: ProcessMark, name: "SIGTERM" | "SIGKILL"): void {
  if (!isAlive(mark)) return;
  try {
    process.kill(mark.pid, name);
  } catch {
    // Gone in between.
  }
}

/** In the kernel's ticks since boot; undefined for none or a zombie. The name before it may hold anything. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

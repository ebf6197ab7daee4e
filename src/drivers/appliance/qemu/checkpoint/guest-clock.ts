import { codeOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { GuestAgent } from "../vm.ts";

const attemptsMax = 20;
const againMs = millis(500);
/** What lies between a guest's word and ours, on a busy host. */
const toleranceMs = 2000;
const nanosPerMs = 1_000_000;

/**
 * Tells a guest that stood still what time it is. Resolves with whether its clock was seen to be right; a guest without
 * an agent, or whose agent refuses, keeps the time it has. Rejects only with the signal's reason.
 */
export async function correctGuestClock(
  agent: Pick<GuestAgent, "execute">,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    signal.throwIfAborted();
    try {
      await agent
        .execute("guest-set-time", { time: clock.now() * nanosPerMs }, signal)
        .catch((cause: unknown) => setByProgram(agent, cause, clock, signal));
      const told = await agent.execute("guest-get-time", {}, signal);
      if (Math.abs(Number(told) / nanosPerMs - clock.now()) <= toleranceMs) return true;
    } catch (cause) {
      signal.throwIfAborted();
      if (codeOf(cause) === "driver_failed") return false;
    }
    await clock.sleep(againMs, signal);
  }
  return false;
}

/** The same for one that stood still for hardly any time, most likely: it is asked first, and left alone if its clock is right. */
export async function correctLateClock(
  agent: Pick<GuestAgent, "execute">,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const told = await agent.execute("guest-get-time", {}, signal);
  if (Math.abs(Number(told) / nanosPerMs - clock.now()) <= toleranceMs) return true;
  return correctGuestClock(agent, clock, signal);
}

/** The agent refuses to where a guest has no program for its hardware's clock. */
async function setByProgram(
  agent: Pick<GuestAgent, "execute">,
  cause: unknown,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (codeOf(cause) !== "driver_failed") throw cause;
  const arg = ["-u", "-s", `@${Math.round(clock.now() / 1000)}`];
  await agent.execute("guest-exec", { path: "date", arg }, signal);
}

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { newPlace } from "./abandoned-places.ts";
import { findingOf } from "./report.ts";
import type { Finding } from "./report.ts";

const program = fileURLToPath(new URL("../../scheduling/probe.worker.ts", import.meta.url));
const probeMsMax = millis(15_000);
const wantedMilli = 250;
/** What the probe says of a dispatcher that did not begin in time. */
const notInTime = "does not come up";
/** On a busy machine a short look is a rough one. */
const keptFrom = 0.5;
const keptTo = 1.3;

/** Really keeps a machine by this back end for a moment. */
export async function probeEnforcement(
  subprocess: Subprocess,
  node: string,
  kind: "dispatch-table" | "bandwidth" | "deadline",
  signal: AbortSignal,
): Promise<Finding> {
  const place = newPlace(tmpdir());
  try {
    const args = [program, kind, join(place, "owner")];
    const { stdout } = await subprocess.run(node, args, signal, { timeoutMs: probeMsMax });
    return enforcementFinding(stdout);
  } catch (cause) {
    signal.throwIfAborted();
    return findingOf(cause);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** From what the probe printed: "share 249 yes", or why not. */
export function enforcementFinding(printed: string): Finding {
  const match = /^share (\d+) (yes|no)$/.exec(printed.trim());
  if (match === null) {
    const found = printed.trim() || "the probe ended without a word";
    return { status: found.includes(notInTime) ? "unclear" : "missing", found };
  }
  const share = Number(match[1]);
  const found = `a busy machine with 25% reserved got ${share / 10}%`;
  if (match[2] === "no")
    return { status: "limited", found: `${found}; no real-time priority, so slots begin late` };
  const isKept = share >= wantedMilli * keptFrom && share <= wantedMilli * keptTo;
  return { status: isKept ? "ok" : "limited", found };
}

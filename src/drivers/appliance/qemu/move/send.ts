import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { setCapabilities } from "../turns.ts";
import { tracksWrites } from "../write-tracking.ts";
import type { Qmp } from "../vm.ts";
import { convergence, relief, shareSent } from "./convergence.ts";
import { queryMigration, runState } from "./migration-status.ts";
import type { MigrationStatus } from "./migration-status.ts";

/** How often it is looked whether a migration converges. */
const lookMs = millis(50);
/** QEMU's own limit: it is the network that decides, or what is asked of it. */
const unlimitedBytesPerSecond = 2 ** 40;

const running = new Set(["setup", "active", "pre-switchover", "device", "cancelling", "postcopy-active"]);
/** It never continues here: all is there, or it has begun there. */
const handedOver = new Set(["completed", "postcopy-active", "postcopy-paused", "postcopy-recover"]);

export type SendOptions = {
  /** Where QEMU sends to, in its own words ("unix:/vm/outgoing"). */
  readonly uri: string;
  readonly postcopy: boolean;
  readonly bytesPerSecond?: number;
  /** From now on it never continues here. Called once, as soon as that is so. */
  readonly onHandedOver: (status: MigrationStatus) => void;
  readonly onProgress: (share: number) => void;
};

/** Begins to send a running machine's state. One whose writes QEMU would lose meanwhile stands still from here on. */
export async function beginSending(qmp: Qmp, options: SendOptions, signal: AbortSignal): Promise<void> {
  const { uri, postcopy, bytesPerSecond = unlimitedBytesPerSecond } = options;
  await setCapabilities(
    qmp,
    [
      "events",
      "return-path",
      "auto-converge",
      "late-block-activate",
      ...(postcopy ? (["postcopy-ram"] as const) : []),
    ],
    signal,
  );
  const settings = { "max-bandwidth": bytesPerSecond, "downtime-limit": convergence.downtimeMs };
  await qmp.execute("migrate-set-parameters", settings, signal);
  if (!(await tracksWrites(qmp, signal))) await qmp.execute("stop", {}, signal);
  await qmp.execute("migrate", { uri }, signal);
}

/**
 * Follows what was begun, also by an earlier manager, to its end, and helps it to converge. Resolves with how it stands:
 * "completed", or "failed" and "cancelled", after which the machine goes on here. Rejects when the line is lost.
 */
export async function followSending(
  qmp: Qmp,
  clock: Clock,
  options: SendOptions,
  signal: AbortSignal,
): Promise<MigrationStatus> {
  let allowedMs = convergence.downtimeMs;
  let isOver = false;
  let isHelped = false;
  let firstPassMs: Millis | undefined;
  let stoodStillAt = (await runState(qmp, signal)) === "paused" ? clock.monotonic() : undefined;
  for (;;) {
    const next = nextLook(qmp, clock, signal);
    const now = await queryMigration(qmp, signal);
    if (!isOver && handedOver.has(now.status)) {
      isOver = true;
      // QEMU counts from where it stops the guest itself.
      const stoodMs = stoodStillAt === undefined ? 0 : clock.monotonic() - stoodStillAt;
      options.onHandedOver(
        stoodMs > (now.downtimeMs ?? 0) ? { ...now, downtimeMs: Math.round(stoodMs) } : now,
      );
    }
    if (!running.has(now.status) && !now.status.startsWith("postcopy")) return now;
    options.onProgress(shareSent(now.progress));
    if (now.progress.pass > 1) firstPassMs ??= now.progress.elapsedMs;
    const help =
      isOver || isHelped || now.status !== "active"
        ? undefined
        : relief(now.progress, allowedMs, options.postcopy, firstPassMs);
    if (help?.kind === "downtime") {
      allowedMs = help.downtimeMs;
      await qmp.execute("migrate-set-parameters", { "downtime-limit": allowedMs }, signal);
    } else if (help !== undefined) {
      isHelped = true;
      if (help.kind === "stop") stoodStillAt = clock.monotonic();
      await qmp.execute(help.kind === "postcopy" ? "migrate-start-postcopy" : "stop", {}, signal);
    }
    await next;
  }
}

/** At the next word of QEMU's, or after a while. */
function nextLook(qmp: Qmp, clock: Clock, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const callOff = clock.timer(lookMs, resolve);
  const end = qmp.onEvent(({ event }) => {
    if (event === "MIGRATION") resolve();
  });
  const lost = (): void =>
    reject(new ConsortError("unavailable", "Cannot follow the migration: the line to QEMU is lost"));
  const abort = (): void => reject(signal.reason);
  qmp.closed.addEventListener("abort", lost, { once: true });
  signal.addEventListener("abort", abort, { once: true });
  if (qmp.closed.aborted) lost();
  if (signal.aborted) abort();
  const look = promise.finally(() => {
    callOff();
    end();
    qmp.closed.removeEventListener("abort", lost);
    signal.removeEventListener("abort", abort);
  });
  // Who asked may have failed before it waits for this.
  look.catch(() => {});
  return look;
}

/** Resolves when nothing is sent any more: cancelled, or, too late, completed. */
export async function cancelSending(qmp: Qmp, clock: Clock, signal: AbortSignal): Promise<MigrationStatus> {
  const before = await queryMigration(qmp, signal);
  if (!running.has(before.status) || handedOver.has(before.status)) return before;
  await qmp.execute("migrate_cancel", {}, signal);
  for (;;) {
    const next = nextLook(qmp, clock, signal);
    const now = await queryMigration(qmp, signal);
    if (!running.has(now.status)) return now;
    await next;
  }
}

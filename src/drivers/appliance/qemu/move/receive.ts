import { codeOf } from "#base/errors.ts";
import { setCapabilities } from "../turns.ts";
import type { Qmp } from "../vm.ts";
import { queryMigration, runState } from "./migration-status.ts";

/** Bits of what both ends must agree on; late-block-activate: its disks are touched only when it continues. */
const wanted = ["events", "return-path", "auto-converge", "late-block-activate"] as const;

/**
 * Makes a QEMU that was started for it (-incoming defer) listen for a machine's state, if it does not already.
 * Resolves with whether it can begin before all of the memory is there: not every kernel lets it.
 */
export async function listenForState(qmp: Qmp, uri: string, signal: AbortSignal): Promise<boolean> {
  const { status } = await queryMigration(qmp, signal);
  const known = (await qmp.execute("query-migrate-capabilities", {}, signal)) as readonly {
    readonly capability: string;
    readonly state: boolean;
  }[];
  const isSet = known.some(({ capability, state }) => capability === "postcopy-ram" && state);
  // An earlier manager has got so far.
  if (status !== "none") return isSet;
  const canPostcopy = await setCapabilities(qmp, [...wanted, "postcopy-ram"], signal).then(
    () => true,
    async (cause: unknown) => {
      if (codeOf(cause) !== "driver_failed") throw cause;
      await setCapabilities(qmp, wanted, signal);
      return false;
    },
  );
  await qmp.execute("migrate-incoming", { uri }, signal);
  return canPostcopy;
}

/** received: all that it needs to continue is here, or (`follows`) comes while it runs. */
export type Arrival = {
  readonly phase: "listening" | "receiving" | "received";
  readonly follows?: true;
};

export async function arrivalOf(qmp: Qmp, signal: AbortSignal): Promise<Arrival> {
  const { status } = await queryMigration(qmp, signal);
  if (status === "completed") return { phase: "received" };
  // Once it could run, it is no longer "inmigrate".
  if (status.startsWith("postcopy")) {
    const phase = (await runState(qmp, signal)) === "inmigrate" ? "receiving" : "received";
    return { phase, follows: true };
  }
  return { phase: status === "active" ? "receiving" : "listening" };
}

/** coming: with post-copy the rest follows while it already runs. lost: its guest would wait for that rest for ever. */
export type MemoryState = "here" | "coming" | "lost";

export async function memoryState(qmp: Qmp, signal: AbortSignal): Promise<MemoryState> {
  const { status } = await queryMigration(qmp, signal);
  if (status === "postcopy-paused") return "lost";
  return status.startsWith("postcopy") ? "coming" : "here";
}

/** Resolves when the machine runs here, which is looked at and not believed. */
export async function continueHere(qmp: Qmp, signal: AbortSignal): Promise<void> {
  await qmp.execute("cont", {}, signal);
  const announcing = { initial: 10, max: 200, rounds: 5, step: 50 };
  await qmp.execute("announce-self", announcing, signal);
}

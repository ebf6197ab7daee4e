import { InTurn } from "#base/in-turn.ts";
import type { Qmp } from "./vm.ts";

const turnsOf = new WeakMap<Qmp, InTurn>();

/**
 * What sends a machine's whole state anywhere takes turns: QEMU knows one migration at a time, with settings that
 * stay. Whoever comes sets all of them.
 */
export function oneAtATime<Result>(qmp: Qmp, work: () => Promise<Result>): Promise<Result> {
  const turns = turnsOf.get(qmp) ?? new InTurn();
  turnsOf.set(qmp, turns);
  return turns.run(work);
}

const capabilities = [
  "xbzrle",
  "rdma-pin-all",
  "auto-converge",
  "zero-blocks",
  "compress",
  "events",
  "postcopy-ram",
  "x-colo",
  "release-ram",
  "block",
  "return-path",
  "pause-before-switchover",
  "multifd",
  "dirty-bitmaps",
  "postcopy-blocktime",
  "late-block-activate",
  "x-ignore-shared",
  "validate-uuid",
  "background-snapshot",
] as const;

export type MigrationCapability = (typeof capabilities)[number];

/** These on and all others off, whatever was set before. */
export async function setCapabilities(
  qmp: Qmp,
  wanted: readonly MigrationCapability[],
  signal: AbortSignal,
): Promise<void> {
  const known = (await qmp.execute("query-migrate-capabilities", {}, signal)) as readonly {
    readonly capability: string;
    readonly state: boolean;
  }[];
  const isWanted = new Set<string>(wanted);
  const changed = known
    .filter(({ capability, state }) => state !== isWanted.has(capability))
    .map(({ capability }) => ({ capability, state: isWanted.has(capability) }));
  if (changed.length > 0) await qmp.execute("migrate-set-capabilities", { capabilities: changed }, signal);
}

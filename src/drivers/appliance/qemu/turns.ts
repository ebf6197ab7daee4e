import type { Qmp } from "./vm.ts";

const turns = new WeakMap<Qmp, Promise<unknown>>();

/**
 * What sends a machine's whole state anywhere takes turns: QEMU knows one migration at a time, with settings that
 * stay. Whoever comes sets all of them.
 */
export function oneAtATime<Result>(qmp: Qmp, work: () => Promise<Result>): Promise<Result> {
  const before = turns.get(qmp) ?? Promise.resolve();
  const turn = before.then(work, work);
  turns.set(
    qmp,
    turn.catch(() => {}),
  );
  return turn;
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

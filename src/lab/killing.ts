import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { LabMachine } from "#lab/machine.ts";
import { killNow, processesIn } from "#lab/processes.ts";

/** Without one of them ending: a thousand machines take a while to go. */
const killWaitMsMax = millis(10_000);
const pollMs = millis(2);
/** Part of the time it takes that is spent on looking. */
const pollShare = 0.05;
const namedMax = 10;

/**
 * Kills all processes of a control group and below, and all that live in the given network namespaces, until none is
 * left: what they started meanwhile, too. @throws timeout when some do not end
 */
export async function killUntilNone(
  action: string,
  where: { readonly group: string; readonly namespaces: () => readonly string[] },
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const began = machine.clock.monotonic();
  let progress = { at: began, left: Infinity };
  for (;;) {
    // These first, a host's manager among them: it shall not live to tell of the end of the others.
    const inside = processesIn(where.namespaces());
    for (const pid of inside) killNow(pid);
    killGroup(where.group, machine);
    const left = [...pidsBelow(where.group, machine), ...inside];
    if (left.length === 0) return;
    const now = machine.clock.monotonic();
    if (left.length < progress.left) progress = { at: now, left: left.length };
    if (now - progress.at > killWaitMsMax) {
      const named = left.slice(0, namedMax).join(", ");
      const others = left.length > namedMax ? ` and ${left.length - namedMax} others` : "";
      throw new ConsortError(
        "timeout",
        `Cannot ${action}: processes ${named}${others} do not end, killed ${killWaitMsMax / 1000} s ago`,
      );
    }
    await machine.clock.sleep(millis(Math.max(pollMs, (now - began) * pollShare)), signal);
  }
}

function killGroup(path: string, machine: LabMachine): void {
  const group = machine.cgroups.open(path);
  if (!group.exists()) return;
  try {
    group.killAll();
  } catch (error) {
    // A group of which a killed removal left only some trees; its processes are killed one by one below.
    machine.log.debug("group cannot be killed at once", { path, error });
  } finally {
    group.close();
  }
  for (const pid of pidsBelow(path, machine)) killNow(pid);
}

function pidsBelow(path: string, machine: LabMachine): number[] {
  const group = machine.cgroups.open(path);
  return [...group.pids(), ...group.children().flatMap((name) => pidsBelow(`${path}/${name}`, machine))];
}

import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { LabMachine } from "#lab/machine.ts";
import { killNow, processesIn } from "#lab/processes.ts";

const killWaitMsMax = millis(10_000);
const pollMs = millis(2);

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
  const deadline = machine.clock.monotonic() + killWaitMsMax;
  for (;;) {
    // These first, a host's manager among them: it shall not live to tell of the end of the others.
    const inside = processesIn(where.namespaces());
    for (const pid of inside) killNow(pid);
    killGroup(where.group, machine);
    const left = [...pidsBelow(where.group, machine), ...inside];
    if (left.length === 0) return;
    if (machine.clock.monotonic() > deadline) {
      throw new ConsortError(
        "timeout",
        `Cannot ${action}: processes ${left.join(", ")} do not end, killed ${killWaitMsMax / 1000} s ago`,
      );
    }
    await machine.clock.sleep(pollMs, signal);
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

import { ConsortError } from "#base/errors.ts";
import type { MachineSpec } from "../command/spec.ts";
import { insideDirectory } from "../command/spec.ts";
import type { Beginning, Starter, StartWay } from "../starter.ts";
import type { VmMoves } from "./moves.ts";
import type { MachinePlace } from "./ports.ts";
import { withRemoteDisks } from "./remote-disks.ts";

/** Starts machines that come from another host: they wait for their state, with their disks where they were. */
export function moveStarter(moves: Pick<VmMoves, "beforeStart">): Starter {
  return {
    async begin(beginning: Beginning, signal: AbortSignal): Promise<StartWay | undefined> {
      const { record, spec } = beginning;
      const { move } = record.plan.vm;
      if (move?.side !== "arriving") return undefined;
      const hasDisks = spec.disks.some(({ readOnly }) => !readOnly);
      const { incoming, remote } = await moves.beforeStart(placeOf(beginning), move, hasDisks, signal);
      if (!incoming && !remote) return undefined;
      const { bootMemoryBytes = spec.memoryBytes, processors = record.plan.vm.vcpus } = move;
      return {
        start: record.start,
        // One that has run here already is told by its record which of its disks are where.
        spec: {
          ...(incoming ? { ...arrivingSpec(spec, { incoming, remote }), vcpus: processors } : spec),
          memoryBytes: bootMemoryBytes,
        },
        // It goes on when the other side's word has come, which its mover waits for.
        async bringUp(vm, stop) {
          if (!incoming) await vm.qmp.execute("cont", {}, stop);
        },
      };
    },
  };
}

function placeOf({ record, place, slots }: Beginning): MachinePlace {
  const { id } = record.plan;
  const slot = slots.slotOf(id);
  if (slot === undefined) throw new ConsortError("not_found", `Cannot start ${id}: it is not here`);
  return { id, directory: place.directory, inside: insideDirectory, cgroup: slot.cgroup };
}

/** Its writable layers are read from where it was, until they are here. */
export function arrivingSpec(
  spec: MachineSpec,
  { incoming, remote }: { readonly incoming: boolean; readonly remote: boolean },
): MachineSpec {
  return { ...(remote ? withRemoteDisks(spec) : spec), incoming };
}

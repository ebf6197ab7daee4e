import type { Clock } from "#base/runtime.ts";
import { digest } from "#base/digest.ts";
import { oneAtATime } from "../turns.ts";
import type { RunningVm } from "../vm.ts";
import { limitDisks } from "./disk-limits.ts";
import { resizeMemory } from "./memory.ts";
import { resizeProcessors } from "./processors.ts";
import type { MachineSize } from "./size.ts";

/**
 * Makes a running machine another size without a restart: disk limits, then memory, then processors. `reached` is told
 * after each of them what is in force. Rejects with the reason where its guest or QEMU does not go along; what could
 * not be changed is as it was. Its network is limited outside of it, and its share of the processors by its slot.
 */
export async function resizeMachine(
  vm: RunningVm,
  change: { readonly from: MachineSize; readonly to: MachineSize },
  reached: (size: MachineSize) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { from, to } = change;
  const sized = (memoryBytes: MachineSize["memoryBytes"], vcpus: number): MachineSize => ({
    memoryBytes,
    vcpus,
    ...(to.disk === undefined ? {} : { disk: to.disk }),
  });
  if (digest(from.disk) !== digest(to.disk)) {
    try {
      await limitDisks(vm, to.disk, signal);
    } catch (cause) {
      await limitDisks(vm, from.disk, signal).catch(() => {});
      throw cause;
    }
    reached(sized(from.memoryBytes, from.vcpus));
  }
  await resizeMemory(vm, { from: from.memoryBytes, to: to.memoryBytes }, clock, signal);
  reached(sized(to.memoryBytes, from.vcpus));
  // QEMU plugs nothing in while it hands over a machine's state, and what continues that has to have as many.
  await oneAtATime(vm.qmp, () => resizeProcessors(vm, { from: from.vcpus, to: to.vcpus }, clock, signal));
  reached(to);
}

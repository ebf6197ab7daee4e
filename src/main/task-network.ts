import type { BitsPerSecond } from "#base/units.ts";
import { openInterfaceReservations } from "#drivers/network/reservations/interface.ts";
import type { FlowDirection, InterfaceReservations } from "#drivers/network/reservations/port.ts";
import type { Directions } from "#tasks/connection.ts";
import type { TaskHostOptions } from "#tasks/host-options.ts";

/** What leaves by the interface of a task host, and what arrives there where that is asked for; `undo` closes it. */
export async function openDirections(
  { interface: name, bandwidthBps, incomingBps }: NonNullable<TaskHostOptions["network"]>,
  undo: AsyncDisposableStack,
): Promise<Directions> {
  const open = async (direction: FlowDirection, rateBps: BitsPerSecond): Promise<InterfaceReservations> => {
    const opened = await openInterfaceReservations({ interface: name, bandwidthBps: rateBps, direction });
    undo.defer(() => opened.close());
    return opened;
  };
  const out = await open("out", bandwidthBps);
  return incomingBps === undefined ? { out } : { out, in: await open("in", incomingBps) };
}

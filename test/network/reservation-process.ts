import { bitsPerSecond } from "#base/units.ts";
import { messageOf } from "#base/errors.ts";
import { openInterfaceReservations } from "#drivers/network/reservations/interface.ts";
import type {
  FlowDirection,
  InterfaceReservation,
  ReservationChange,
  TrafficTarget,
} from "#drivers/network/reservations/port.ts";

/** Reservations on an interface, made by a process of their own inside a test host's namespace. */
export type ReservationRequest =
  | {
      readonly ask: "open";
      readonly interface: string;
      readonly bandwidthBps: number;
      readonly direction: FlowDirection;
    }
  | { readonly ask: "reserve"; readonly reservation: InterfaceReservation }
  | { readonly ask: "adapt"; readonly changes: readonly ReservationChange[] }
  | { readonly ask: "retarget"; readonly name: string; readonly targets: readonly TrafficTarget[] }
  | { readonly ask: "release"; readonly name: string }
  | { readonly ask: "close" };
export type ReservationAnswer = { readonly error?: string; readonly tookMs: number };

let reservations: Awaited<ReturnType<typeof openInterfaceReservations>> | undefined;

async function answer(request: ReservationRequest): Promise<void> {
  if (request.ask === "open") {
    const bandwidthBps = bitsPerSecond(request.bandwidthBps);
    const { interface: name, direction } = request;
    reservations = await openInterfaceReservations({ interface: name, bandwidthBps, direction });
    return;
  }
  if (reservations === undefined) throw new Error("not open");
  switch (request.ask) {
    case "reserve":
      return reservations.reserve(request.reservation);
    case "adapt":
      return reservations.adapt(request.changes);
    case "retarget":
      return reservations.retarget(request.name, request.targets);
    case "release":
      return reservations.release(request.name);
    case "close":
      return reservations.close();
    default:
      return request satisfies never;
  }
}

process.on("message", (request: ReservationRequest) => {
  const started = performance.now();
  answer(request).then(
    () => process.send?.({ tookMs: performance.now() - started } satisfies ReservationAnswer),
    (cause: unknown) =>
      process.send?.({
        error: messageOf(cause),
        tookMs: performance.now() - started,
      } satisfies ReservationAnswer),
  );
});

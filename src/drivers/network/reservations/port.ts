import type { BitsPerSecond } from "#base/units.ts";

/** Which way frames pass an interface: what leaves by it, or what arrives. */
export const flowDirections = ["out", "in"] as const;
export type FlowDirection = (typeof flowDirections)[number];

/**
 * Where frames go, or which port of this machine they come from; of what arrives, where it comes from, or which port of
 * this machine it is for. Of several that fit, the narrowest counts.
 */
export type TrafficTarget =
  /** "10.1.2.3" or "10.1.0.0/16", IPv4. */
  | { readonly address: string }
  | { readonly address: string; readonly port: number; readonly protocol?: "tcp" | "udp" }
  | { readonly sourcePort: number; readonly protocol?: "tcp" | "udp" };

/** Bandwidth of one interface, one way, for what goes to some targets or comes from them. Rates count Ethernet frames. */
export type InterfaceReservation = {
  readonly name: string;
  readonly rateBps: BitsPerSecond;
  /** Absent: spare bandwidth may be borrowed up to the interface's own. */
  readonly ceilingBps?: BitsPerSecond;
  /** 0 borrows first … 7 last. */
  readonly priority: number;
  readonly targets: readonly TrafficTarget[];
};

/** What else a reservation has becomes part of the change: without `ceilingBps` it has none any more. */
export type ReservationChange = Pick<InterfaceReservation, "name" | "rateBps" | "ceilingBps">;

/**
 * Reservations on one interface, one way, for programs that are no appliances. All methods leave everything as it was when they
 * fail: `unsatisfiable` when more would be promised than the interface has, `conflict` for a name or a target that is
 * taken, `not_found`, `bad_input`.
 */
export interface InterfaceReservations {
  /** What may be reserved in all. */
  readonly promisableBps: BitsPerSecond;
  list(): readonly InterfaceReservation[];
  /** Throws as `reserve` would, or as `adapt` for a name that has one; changes nothing. */
  admit(reservation: InterfaceReservation): void;
  reserve(reservation: InterfaceReservation): Promise<void>;
  /** All of them or none, without a moment in which more is promised than before or after; in force when it returns. */
  adapt(changes: readonly ReservationChange[]): void;
  retarget(name: string, targets: readonly TrafficTarget[]): Promise<void>;
  release(name: string): Promise<void>;
  /** Releases everything; the interface is as it was before. Once is enough. */
  close(): Promise<void>;
}

import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { TunnelKind } from "./names.ts";

/**
 * Is the other end there? Only packets that were authenticated prove it, so their count is watched: the
 * peer answers our probe at once; should its firewall eat the answer, WireGuard acknowledges within ten seconds and
 * OpenVPN pings every three. No growth for longer than that and the tunnel is down.
 */
export type Pulse = {
  readonly receivedBytes: number;
  /** Monotonic; undefined until growth was seen. */
  readonly grewAt?: Millis;
};

const silenceMsMax: Readonly<Record<TunnelKind, Millis>> = {
  wireguard: millis(20_000),
  openvpn: millis(12_000),
};

/** A count that fell is a new process's: what it received, it received since. */
export function nextPulse(previous: Pulse | undefined, receivedBytes: number, now: Millis): Pulse {
  if (previous === undefined) return { receivedBytes };
  if (receivedBytes !== previous.receivedBytes && receivedBytes > 0) return { receivedBytes, grewAt: now };
  return { ...previous, receivedBytes };
}

export function isUp(kind: TunnelKind, pulse: Pulse | undefined, now: Millis): boolean {
  return pulse?.grewAt !== undefined && now - pulse.grewAt <= silenceMsMax[kind];
}

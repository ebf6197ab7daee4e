import { digest } from "#base/digest.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import { deviceName } from "./names.ts";
import type { TunnelKind } from "./names.ts";
import { hasSharedKey } from "./openvpn.ts";
import { hasPeerKey } from "./wireguard.ts";

export type ProcessMark = { readonly pid: number; readonly startTime: string };

/** What is on disk of a tunnel before anything of it is made. */
export type TunnelRecord = {
  readonly device: string;
  readonly peerSite: string;
  readonly kind: TunnelKind;
  /** Of the plan it was last set up by; absent while that is under way. */
  readonly generation?: string;
  readonly process?: ProcessMark;
};

export type WantedTunnel = {
  readonly device: string;
  readonly generation: string;
  readonly plan: TunnelPlan;
};

export type Decision = {
  /** To be taken down, process and device, before others are set up (they may use the same port). */
  readonly retire: readonly TunnelRecord[];
  /** To be made, or made right. */
  readonly setUp: readonly WantedTunnel[];
  /** Nothing at all to do. */
  readonly settled: boolean;
};

export function wantTunnels(
  mark: string,
  stateDir: string,
  plans: readonly TunnelPlan[],
): readonly WantedTunnel[] {
  return plans.map((plan) => ({
    device: deviceName(mark, stateDir, plan.peerSite, plan.kind),
    generation: digest(plan),
    plan,
  }));
}

/** Why a plan cannot become a tunnel yet; its packets are refused meanwhile. */
export function whatIsMissing(plan: TunnelPlan): string | undefined {
  if (hasPeerKey(plan) || hasSharedKey(plan)) return undefined;
  return plan.kind === "wireguard"
    ? "the peer gateway has not told its public key yet"
    : "the plan carries no shared key";
}

/** `works` says of a record whether its device is there and its process, if it needs one, runs. */
export function decideTunnels(
  wanted: readonly WantedTunnel[],
  records: readonly TunnelRecord[],
  works: (record: TunnelRecord) => boolean,
): Decision {
  const ready = wanted.filter((tunnel) => whatIsMissing(tunnel.plan) === undefined);
  const byDevice = new Map(ready.map((tunnel) => [tunnel.device, tunnel]));
  const current = (record: TunnelRecord): boolean =>
    byDevice.get(record.device)?.generation === record.generation;
  const retire = records.filter((record) => {
    if (!byDevice.has(record.device)) return true;
    if (!works(record)) return true;
    // WireGuard takes new settings while it runs; OpenVPN reads its file once.
    return record.kind === "openvpn" && !current(record);
  });
  const standing = new Set(
    records.filter((record) => !retire.includes(record) && current(record)).map((record) => record.device),
  );
  const setUp = ready.filter((tunnel) => !standing.has(tunnel.device));
  return { retire, setUp, settled: retire.length === 0 && setUp.length === 0 };
}

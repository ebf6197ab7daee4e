import { networkText, parseNetwork } from "#base/ipv4.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";

export type WireGuardPlan = TunnelPlan & { readonly peerPublicKey: string };

export const hasPeerKey = (plan: TunnelPlan): plan is WireGuardPlan =>
  plan.kind === "wireguard" && plan.peerPublicKey !== undefined;

const keepaliveSeconds = 5;

/** Arguments of `wg`: this device, this one peer, no other. `knownPeers` are the public keys it has now. */
export function wireGuardArguments(
  plan: WireGuardPlan,
  device: string,
  privateKeyFile: string,
  knownPeers: readonly string[],
): string[] {
  const allowed = [
    `${plan.peerTunnelAddress}/32`,
    ...plan.peerSubnets.map((subnet) => networkText(parseNetwork(subnet))),
  ];
  return [
    "set",
    device,
    "listen-port",
    String(plan.localPort),
    "private-key",
    privateKeyFile,
    ...knownPeers.filter((key) => key !== plan.peerPublicKey).flatMap((key) => ["peer", key, "remove"]),
    "peer",
    plan.peerPublicKey,
    "endpoint",
    `${plan.peerAddress}:${plan.peerPort}`,
    "persistent-keepalive",
    String(keepaliveSeconds),
    "allowed-ips",
    allowed.join(","),
  ];
}

export type WireGuardPeer = { readonly publicKey: string; readonly receivedBytes: number };

/** From `wg show DEVICE dump`: the device's own line, then a line per peer. */
export function readWireGuardDump(dump: string): WireGuardPeer[] {
  return dump
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    .filter((fields) => fields.length >= 8)
    .map((fields) => ({ publicKey: fields[0] ?? "", receivedBytes: Number(fields[5]) }));
}

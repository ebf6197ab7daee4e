import type { TunnelPlan } from "#protocol/host-plan.ts";

export type OpenVpnPlan = TunnelPlan & { readonly sharedKey: string };

export const hasSharedKey = (plan: TunnelPlan): plan is OpenVpnPlan =>
  plan.kind === "openvpn" && plan.sharedKey !== undefined;

/**
 * A point-to-point OpenVPN with a static key: nothing to negotiate, up with the first packet. Around a packet it
 * puts IPv4 20, UDP 8, HMAC 32, IV 16, packet number 8 and up to 16 bytes of padding: 1400 bytes make exactly 1500.
 * The device is made by us and kept (`persist`), so addresses and routes survive a restart of the process.
 */
export function openVpnConfig(plan: OpenVpnPlan, device: string, statusFile: string): string {
  return `dev ${device}
dev-type tun
proto udp4
lport ${plan.localPort}
remote ${plan.peerAddress} ${plan.peerPort}
cipher AES-256-CBC
auth SHA256
tun-mtu ${plan.mtu}
mssfix 0
disable-dco
ifconfig-noexec
route-noexec
passtos
persist-tun
persist-key
user nobody
group nogroup
ping 3
ping-restart 15
status ${statusFile} 1
verb 1
<secret>
${plan.sharedKey.trim()}
</secret>
`;
}

/** Authenticated bytes received so far, from the text of a status file; undefined while it is being written. */
export function receivedBytes(status: string): number | undefined {
  const match = /^Auth read bytes,(\d+)$/m.exec(status);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

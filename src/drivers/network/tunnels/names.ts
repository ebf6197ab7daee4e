import { digest } from "#base/digest.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";

export type TunnelKind = TunnelPlan["kind"];

const letterOf: Readonly<Record<TunnelKind, string>> = { wireguard: "w", openvpn: "o" };
const hashLength = 10;

/**
 * The device of the tunnel to a peer site: our mark, a letter for the kind, a hash. At most 14 characters. The
 * hash covers the state directory because user-space WireGuard's sockets are named after the device and two
 * gateways on one machine share their folder.
 */
export function deviceName(mark: string, stateDir: string, peerSite: string, kind: TunnelKind): string {
  return `${mark}${letterOf[kind]}${digest([mark, stateDir, peerSite, kind]).slice(0, hashLength)}`;
}

/** The inverse as far as there is one; undefined for other people's devices. */
export function kindOfDevice(mark: string, name: string): TunnelKind | undefined {
  if (name.length !== mark.length + 1 + hashLength || !name.startsWith(mark)) return undefined;
  const letter = name.charAt(mark.length);
  return letter === letterOf.wireguard ? "wireguard" : letter === letterOf.openvpn ? "openvpn" : undefined;
}

/** What `ip link` shows as alias: whose device it is and what for. */
export const deviceAlias = (mark: string, peerSite: string): string => `${mark} tunnel ${peerSite}`;

/** The site in an alias of ours. */
export function siteOfAlias(mark: string, alias: string): string | undefined {
  const prefix = deviceAlias(mark, "");
  return alias.startsWith(prefix) ? alias.slice(prefix.length) : undefined;
}

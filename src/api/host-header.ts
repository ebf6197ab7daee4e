import { isIP } from "node:net";

/**
 * Whether a request's Host may be ours. A page of a stranger can make its own name resolve to this machine, but
 * then says that name here; addresses and "localhost" cannot be taken over like that.
 */
export function isTrustedHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return false;
  const name = header.replace(/:\d{1,5}$/, "").toLowerCase();
  const address = /^\[(.*)\]$/.exec(name)?.[1] ?? name;
  return isIP(address) !== 0 || name === "localhost" || names.some((one) => one.toLowerCase() === name);
}

export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

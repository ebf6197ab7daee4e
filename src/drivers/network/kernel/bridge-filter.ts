import { readFileSync, writeFileSync } from "node:fs";

/** Whether bridged frames are also shown to iptables and nft's ip tables (br_netfilter), per network namespace. */
const switches = ["iptables", "ip6tables", "arptables"].map(
  (name) => `/proc/sys/net/bridge/bridge-nf-call-${name}`,
);

export function bridgesUseIpFilter(): boolean {
  return switches.some((path) => {
    try {
      return readFileSync(path, "utf8").trim() !== "0";
    } catch {
      // No such switch: the kernel's module is not loaded.
      return false;
    }
  });
}

export function keepIpFilterOffBridges(): void {
  for (const path of switches) writeFileSync(path, "0");
}

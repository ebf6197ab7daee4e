import type { Capability, Finding } from "./report.ts";

export type Tool = Capability & { readonly file: string; readonly args: readonly string[] };

const tool = (
  file: string,
  args: readonly string[],
  debianPackage: string,
  neededFor: string,
  required: boolean,
): Tool => ({
  id: `tool-${file}`,
  title: file,
  file,
  args,
  neededFor,
  required,
  remedy: `apt-get install ${debianPackage}`,
});

/** Programs started by Consort, its examples, tests and benchmarks. */
export const tools: readonly Tool[] = [
  tool("ip", ["-V"], "iproute2", "links and namespaces", true),
  tool("tc", ["-V"], "iproute2", "shaping", true),
  tool("nft", ["--version"], "nftables", "labs and gateways", true),
  tool("unshare", ["--version"], "util-linux", "namespaces", true),
  tool("nsenter", ["--version"], "util-linux", "namespaces", true),
  tool("setpriv", ["--version"], "util-linux", "unprivileged tasks", true),
  tool("chrt", ["--version"], "util-linux", "real-time scheduling", true),
  tool("perl", ["-v"], "perl-base", "task appliances: their supervisor", true),
  tool("ethtool", ["--version"], "ethtool", "offloads of tunnel devices", false),
  tool("wg", ["--version"], "wireguard-tools", "WireGuard tunnels", false),
  tool("wireguard-go", ["--version"], "wireguard-go", "WireGuard where the kernel has none", false),
  tool("openvpn", ["--version"], "openvpn", "OpenVPN tunnels", false),
  tool("qemu-system-x86_64", ["--version"], "qemu-system-x86", "virtual machines", false),
  tool("qemu-img", ["--version"], "qemu-utils", "disks of virtual machines", false),
  tool("curl", ["--version"], "curl", "images and files of jobs, fetched and brought", false),
  tool("ssh", ["-V"], "openssh-client", "jobs in virtual machines", false),
  tool("mmdebstrap", ["--version"], "mmdebstrap", "building Debian guests", false),
  tool("mksquashfs", ["-version"], "squashfs-tools", "building software images", false),
  tool("dnsmasq", ["--version"], "dnsmasq-base", "addresses and names of networks", true),
  tool("ping", ["-V"], "iputils-ping", "examples and tests", false),
  tool("iperf3", ["--version"], "iperf3", "examples, tests and benchmarks", false),
  tool("nginx", ["-v"], "nginx-light", "the contention example", false),
  tool("h2load", ["--version"], "nghttp2-client", "the contention example", false),
];

/** The first number with dots, or the tool's first line, from all it printed. */
export function toolVersion(printed: string): string {
  const version = /\d+(?:\.\d+)+(?:[-.][0-9a-z]+)*/i.exec(printed)?.[0];
  return version ?? "installed";
}

export function toolFinding(printed: string | undefined): Finding {
  return printed === undefined
    ? { status: "missing", found: "not installed" }
    : { status: "ok", found: toolVersion(printed) };
}

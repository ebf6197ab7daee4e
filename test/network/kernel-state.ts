import type { TestHost } from "./fabric.ts";

/** Everything in the host's kernel that the driver may touch, without what changes by itself: counters, timers, carrier. */
export async function kernelState(host: Pick<TestHost, "run">): Promise<string> {
  const links = (await host.run("ls", "/sys/class/net")).split("\n").filter((name) => name !== "");
  const shown = await Promise.all([
    host.run("ip", "-d", "link"),
    host.run("bridge", "fdb"),
    host.run("nft", "list", "ruleset"),
    host.run("tc", "qdisc", "show"),
    ...links.map(async (name) => `${name}: ${await host.run("tc", "class", "show", "dev", name)}`),
  ]);
  return (
    shown
      .join("\n")
      .replaceAll(/packets \d+ bytes \d+|direct_packets_stat \d+|\w*timer +[\d.]+|state (UP|UNKNOWN)/g, "")
      .split("\n")
      // Multicast groups come with the uplink's own addresses, in their own time.
      .filter((line) => !/^(33:33|01:00:5e)/.test(line))
      .toSorted()
      .join("\n")
  );
}

import { once } from "node:events";
import type { Fabric, Guest } from "./fabric.ts";
import { addressOfGuest } from "./fabric.ts";

/** Goodput of one TCP transfer between appliances, in bits per second, without its first second. */
export function goodput(
  fabric: Fabric,
  from: Guest,
  to: Guest,
  options: { seconds: number; port: number },
): Promise<number> {
  const [sender, receiver] = [fabric.guestNamespace(from), fabric.guestNamespace(to)];
  return goodputBetween(fabric, sender, receiver, { ...options, address: addressOfGuest(to) });
}

/** The same between any two namespaces. */
export async function goodputBetween(
  fabric: Fabric,
  sender: string,
  receiver: string,
  options: { address: string; seconds: number; port: number },
): Promise<number> {
  const { address, seconds, port } = options;
  const server = fabric.spawnIn(receiver, "iperf3", "-s", "-1", "--forceflush", "-p", String(port));
  try {
    await untilListening(server.stdout);
    const shown = await fabric.inNamespace(
      sender,
      "iperf3",
      "-J",
      "-O1",
      `-t${seconds}`,
      `-p${port}`,
      `-c${address}`,
    );
    return (JSON.parse(shown) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received
      .bits_per_second;
  } finally {
    server.kill("SIGKILL");
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
  }
}

/** Resolves when iperf3 says that it listens. */
export async function untilListening(output: NodeJS.ReadableStream | null): Promise<void> {
  let shown = "";
  for await (const chunk of output ?? []) {
    shown += chunk.toString();
    if (shown.includes("Server listening")) return;
  }
  throw new Error(`iperf3 did not start: ${shown}`);
}

/** What of a promised rate reaches a program: full frames of 1464 bytes carry 1398 with TCP time stamps. */
export const goodputShare = 1398 / 1464;

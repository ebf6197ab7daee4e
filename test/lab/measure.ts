import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ProcessResult } from "#drivers/system/port.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { netnsName, netnsPath } from "#lab/names.ts";

const subprocess = systemSubprocess();
const { signal } = new AbortController();

const entering = (lab: string, node: string): string => `--net=${netnsPath(netnsName(lab, node))}`;

/** Runs a command in a node's namespace. */
export function inNode(lab: string, node: string, command: readonly string[]): Promise<ProcessResult> {
  return subprocess.run("nsenter", [entering(lab, node), ...command], signal);
}

export async function pingAverageMs(
  lab: string,
  node: string,
  target: string,
  typeOfService = "0",
): Promise<number> {
  const result = await inNode(lab, node, [
    "ping",
    "-q",
    "-c10",
    "-i0.05",
    "-W5",
    "-Q",
    typeOfService,
    target,
  ]);
  const average = /= [\d.]+\/([\d.]+)\//.exec(result.stdout)?.[1];
  if (average === undefined) throw new Error(`no answer from ${target}: ${result.stdout}${result.stderr}`);
  return Number(average);
}

/** Bits per second that one TCP stream of a second and a half carries from `client` to `server`, by iperf3. */
export async function bandwidthBetween(
  lab: string,
  client: string,
  server: string,
  target: string,
): Promise<number> {
  const listening = spawn("nsenter", [entering(lab, server), "iperf3", "-s", "-1", "--forceflush"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(listening, "exit");
  await once(listening.stdout, "data");
  listening.stdout.resume();
  const result = await inNode(lab, client, ["iperf3", "-J", "-O0.5", "-t1.5", "-c", target]);
  await ended;
  const report = JSON.parse(result.stdout) as { end: { sum_received: { bits_per_second: number } } };
  return report.end.sum_received.bits_per_second;
}

/** UDP at 90 Mbit/s until stopped. */
export async function floodFrom(
  lab: string,
  client: string,
  server: string,
  target: string,
  port: number,
): Promise<{ stop(): Promise<void> }> {
  const start = async (node: string, args: readonly string[]): Promise<() => Promise<void>> => {
    const child = spawn(
      "nsenter",
      [entering(lab, node), "iperf3", "--forceflush", "-p", String(port), ...args],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    child.stdout.resume();
    return async () => {
      child.kill("SIGKILL");
      await ended;
    };
  };
  const stopServer = await start(server, ["-s"]);
  const stopClient = await start(client, ["-u", "-b90M", "-t60", "-i0.1", "-c", target]);
  return {
    async stop() {
      await stopClient();
      await stopServer();
    },
  };
}

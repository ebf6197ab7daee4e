import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** Sends and catches raw frames in an appliance's network namespace, with every right there. */
const program = fileURLToPath(new URL("frames.pl", import.meta.url));
const run = promisify(execFile);

export type Card = { readonly namespace: string; readonly mac: string; readonly address: string };

export async function sendFrames(namespace: string, frames: readonly string[]): Promise<void> {
  await run("nsenter", [`--net=/run/netns/${namespace}`, "perl", program, "send", "eth0", ...frames]);
}

/** Everything that arrives from now on, in hex. */
export async function listenIn(namespace: string): Promise<{
  readonly frames: readonly string[];
  arrived(part: string): Promise<void>;
  stop(): Promise<void>;
}> {
  const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, "perl", program, "listen", "eth0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const frames: string[] = [];
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  lines.on("line", (frame: string) => frames.push(frame));
  const ended = once(child, "exit");
  return {
    frames,
    async arrived(part) {
      while (!frames.some((frame) => frame.includes(part))) await once(lines, "line");
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

const hexOfMac = (mac: string): string => mac.replaceAll(":", "");
const hexOfAddress = (address: string): string =>
  address
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join("");
export const hexOfText = (text: string): string => Buffer.from(text).toString("hex");

const broadcastMac = "ff:ff:ff:ff:ff:ff";

/** An IPv4 frame of an unassigned protocol (253, for experiments) that carries `text`; its checksum is of no matter. */
export function packet(
  from: Pick<Card, "mac" | "address">,
  to: Pick<Card, "mac" | "address">,
  text: string,
): string {
  const length = (20 + text.length).toString(16).padStart(4, "0");
  const header = `4500${length}0000000040fd0000${hexOfAddress(from.address)}${hexOfAddress(to.address)}`;
  return `${hexOfMac(to.mac)}${hexOfMac(from.mac)}0800${header}${hexOfText(text)}`;
}

/** "Who has `wanted`? Tell `from`", to all; the padding carries `text`. */
export function question(from: Pick<Card, "mac" | "address">, wanted: string, text: string): string {
  const mac = hexOfMac(from.mac);
  const body = `0001080006040001${mac}${hexOfAddress(from.address)}000000000000${hexOfAddress(wanted)}`;
  return `${hexOfMac(broadcastMac)}${mac}0806${body}${hexOfText(text)}`;
}

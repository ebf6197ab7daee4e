import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Life } from "./intervals.ts";

/**
 * A witness: reads what every instance of every appliance stamps, from the output files on all hosts' disks, and keeps
 * when each was first and last seen to run. It asks no manager and outlives them all. Each line it is told is answered
 * with all it has seen, as one line of JSON. Argument: the directory of the lab's hosts.
 */
const [hostsDirectory = ""] = process.argv.slice(2);
const readAgainMs = 5;
const lookForFilesMs = 50;

type Seen = { -readonly [Field in keyof Life]: Life[Field] };
type Tail = { readonly fd: number; readonly host: string; offset: number; rest: string };

const tails = new Map<string, Tail>();
const lives = new Map<string, Seen>();
const buffer = Buffer.alloc(1 << 16);

function lookForFiles(): void {
  for (const host of namesIn(hostsDirectory)) {
    for (const slot of namesIn(`${hostsDirectory}/${host}/tasks/slots`)) {
      const file = `${hostsDirectory}/${host}/tasks/slots/${slot}/log`;
      try {
        // A slot's number is used again: its next file is another one.
        const fd = openSync(file, "r");
        const key = `${file} ${fstatSync(fd).ino}`;
        if (tails.has(key)) closeSync(fd);
        else tails.set(key, { fd, host, offset: 0, rest: "" });
      } catch {
        // Not written yet, or removed meanwhile.
      }
    }
  }
}

function readAll(): void {
  for (const tail of tails.values()) {
    for (;;) {
      const length = readSync(tail.fd, buffer, 0, buffer.length, tail.offset);
      if (length === 0) break;
      tail.offset += length;
      const lines = (tail.rest + buffer.toString("latin1", 0, length)).split("\n");
      tail.rest = lines.pop() ?? "";
      for (const line of lines) witness(tail.host, line);
    }
  }
}

function witness(host: string, line: string): void {
  const [appliance, instance, at] = line.split(" ");
  if (appliance === undefined || instance === undefined || at === undefined || !/^\d+$/.test(at)) return;
  const key = `${host} ${appliance} ${instance}`;
  const seen = lives.get(key);
  const ns = BigInt(at);
  if (seen === undefined) lives.set(key, { appliance, host, instance, firstNs: ns, lastNs: ns });
  else if (ns > seen.lastNs) seen.lastNs = ns;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function report(): void {
  lookForFiles();
  readAll();
  const texts = [...lives.values()].map((life) => ({
    ...life,
    firstNs: String(life.firstNs),
    lastNs: String(life.lastNs),
  }));
  process.stdout.write(`${JSON.stringify(texts)}\n`);
}

setInterval(readAll, readAgainMs);
setInterval(lookForFiles, lookForFilesMs);
createInterface({ input: process.stdin })
  .on("line", report)
  .on("close", () => process.exit(0));

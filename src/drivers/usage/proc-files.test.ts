import assert from "node:assert/strict";
import { test } from "node:test";
import {
  parseBusyMs,
  parseDisks,
  parseInterface,
  parseLoad,
  parseMemory,
} from "#drivers/usage/proc-files.ts";

test("the load is read for one, five and fifteen minutes", () => {
  assert.deepEqual(parseLoad("0.21 1.25 1.94 2/345 12345\n"), [0.21, 1.25, 1.94]);
});

test("memory is what there is and what could be had, in bytes", () => {
  const text = "MemTotal:       24597012 kB\nMemFree:        11111 kB\nMemAvailable:   22000000 kB\n";
  assert.deepEqual(parseMemory(text), { totalBytes: 24_597_012 * 1024, availableBytes: 22_000_000 * 1024 });
});

test("processors worked for all but their idle and waiting time", () => {
  const text = "cpu  100 20 30 5000 400 6 4 0 0 0\ncpu0 50 10 15 2500 200 3 2 0 0 0\n";
  assert.equal(parseBusyMs(text, 100), 1600);
});

test("an interface's bytes are told both ways, and none of one that is not there", () => {
  const text = [
    "Inter-|   Receive                |  Transmit",
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs",
    "uplink: 1000 10 0 0 0 0 0 0 2500 20 0 0 0 0 0 0",
    "uplink2: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0",
  ].join("\n");
  assert.deepEqual(parseInterface(text, "uplink"), { inBytes: 1000, outBytes: 2500 });
  assert.equal(parseInterface(text, "wan"), undefined);
});

test("disks count once, without their partitions and without what is made of them", () => {
  const line = (name: string, read: number, written: number) =>
    ` 254 0 ${name} 1 0 ${read} 0 1 0 ${written} 0 0 0 0`;
  const text = [
    line("loop0", 999, 999),
    line("vda", 10, 20),
    line("vda1", 8, 16),
    line("nvme0n1", 3, 4),
    line("nvme0n1p1", 3, 4),
    line("nvme0n10", 5, 6),
    line("dm-0", 10, 20),
    "",
  ].join("\n");
  assert.deepEqual(parseDisks(text), { readBytes: 18 * 512, writtenBytes: 30 * 512 });
});

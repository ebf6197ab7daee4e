import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { forgetShells, runOverSsh } from "#drivers/ssh/run-over-ssh.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";
import { domainXml, openLibvirt, openOtherHost, ownDirectory } from "./libvirt.ts";
import type { Libvirt, OtherHost } from "./libvirt.ts";
import { peerGuest, peerId } from "./peer-guest.ts";
import type { PeerGuest } from "./peer-guest.ts";
import { peerRow, unlessAbsent } from "./peer-rows.ts";
import { answersAs } from "./ssh-answers.ts";

const memoryMib = 128;
const diskSize = "64M";
const rounds = 3;
const what = "128 MiB guest serving HTTP, two hosts, TCG: virsh migrate --live --copy-storage-all";
const disk = join(ownDirectory, "root.qcow2");
const client = join(import.meta.dirname, "../test/vm/http-client.child.ts");
const serve = "mkdir -p /www && echo hello >/www/index.html && httpd -p 80 -h /www";

type Round = {
  readonly totalMs: number;
  readonly downtimeMs: number;
  readonly longestMs: number;
  readonly lost: number;
};

/** The same by libvirt: it copies the disk first, as neither host reaches the other's files. */
export async function migrationByLibvirt({ signal, progress }: BenchOptions): Promise<BenchRow[]> {
  return await unlessAbsent(what, signal, async () => {
    const seen: Round[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      seen.push(await moveOnce({ signal, progress }));
      progress(`libvirt ${round} of ${rounds}: ${Math.round(seen.at(-1)?.totalMs ?? 0)} ms`);
    }
    const row = (metric: string, unit: string, of: (round: Round) => number): BenchRow =>
      peerRow(what, metric, seen.map(of), unit);
    return [
      row("total until it runs there, its disk too", "ms", ({ totalMs }) => totalMs),
      row("downtime as QEMU tells it", "ms", ({ downtimeMs }) => downtimeMs),
      row("longest request", "ms", ({ longestMs }) => longestMs),
      row("requests lost", "requests", ({ lost }) => lost),
    ];
  });
}

async function moveOnce({ signal, progress }: BenchOptions): Promise<Round> {
  const built = await buildTinyGuest(guestCache, progress, subprocess, signal);
  await using libvirt = await openLibvirt(signal);
  const other = await openOtherHost(libvirt, signal);
  const { cell, virsh } = libvirt;
  const guest = peerGuest(built, cell.directory, "peer", 1);
  const file = join(cell.directory, "peer.xml");
  writeFileSync(file, domainXml(guest, memoryMib, disk));
  const make = ["create", "-q", "-f", "qcow2", disk, diskSize];
  await cell.run("qemu-img", make, signal);
  await other.run("qemu-img", make, signal);
  await virsh(["create", file], signal);
  await serving(libvirt, guest, signal);
  return await measured(libvirt, other, guest, signal);
}

async function serving({ cell }: Libvirt, guest: PeerGuest, signal: AbortSignal): Promise<void> {
  const ssh = { directory: mkdtempSync(join(cell.directory, "ssh-")) };
  const place = guest.place(cell.netns);
  try {
    await answersAs(guest.name, () => place, ssh, peerId, signal);
    const request = { command: ["sh", "-c", serve], env: {}, onOutput: () => {} };
    const code = await runOverSsh(ssh, peerId, place, request, signal);
    if (code !== 0) throw new Error("its web server does not start");
  } finally {
    await forgetShells(ssh, peerId);
  }
}

async function measured(
  { cell, virsh }: Libvirt,
  other: OtherHost,
  guest: PeerGuest,
  signal: AbortSignal,
): Promise<Round> {
  const words = [`--net=${cell.netns}`, process.execPath, client, `http://${guest.address}/`];
  const asking = spawn("nsenter", words, { stdio: ["pipe", "pipe", "ignore"], signal });
  asking.on("error", () => {});
  const told = text(asking.stdout);
  const exited = once(asking, "close");
  const beganAt = performance.now();
  const way = ["--live", "--copy-storage-all", guest.name, other.uri, `tcp://${other.address}`];
  let totalMs: number;
  try {
    await virsh(["migrate", ...way], signal);
    totalMs = performance.now() - beganAt;
  } finally {
    asking.stdin.end();
    await exited;
  }
  const job = await other.virsh(["domjobinfo", guest.name, "--completed"], signal);
  const [, downtime] = /^Total downtime:\s+(\d+)/m.exec(job) ?? [];
  const { lost, longestMs } = JSON.parse(await told) as Pick<Round, "lost" | "longestMs">;
  return { totalMs, downtimeMs: Number(downtime), longestMs, lost };
}

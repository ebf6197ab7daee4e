import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";
import { domainXml, openLibvirt } from "./libvirt.ts";
import { reaching, shareMiB } from "./many-reached.ts";
import { peerGuest } from "./peer-guest.ts";
import { peerRow, unlessAbsent } from "./peer-rows.ts";

const memoryMib = 128;

/** What it saved it resumes as the same machine only, so that many from one are booted. */
export async function manyByLibvirt(count: number, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const what = `${count} tiny guests, booted by libvirt, on one host`;
  return await unlessAbsent(what, signal, async () => {
    const built = await buildTinyGuest(guestCache, progress, subprocess, signal);
    await using libvirt = await openLibvirt(signal);
    const { cell, virsh } = libvirt;
    const guests = Array.from({ length: count }, (_, at) =>
      peerGuest(built, cell.directory, `peer-${at + 1}`, at + 1),
    );
    const files = guests.map((guest) => {
      const file = join(cell.directory, `${guest.name}.xml`);
      writeFileSync(file, domainXml(guest, memoryMib));
      return file;
    });
    const beganAt = performance.now();
    await Promise.all(files.map((file) => virsh(["create", file], signal)));
    const runMs = performance.now() - beganAt;
    progress(`libvirt: all run after ${Math.round(runMs)} ms`);
    await cell.run("perl", ["-e", reaching, ...guests.map(({ address }) => address)], signal);
    const reachedMs = performance.now() - beganAt;
    progress(`libvirt: all are reached after ${Math.round(reachedMs)} ms`);
    const memory = guests.map(({ name }) => shareMiB(name));
    return [
      peerRow(what, "asked for → started", [runMs]),
      peerRow(what, "asked for → each one's SSH server has answered", [reachedMs]),
      peerRow(what, "memory of each, proportional set size", memory, "MiB"),
    ];
  });
}

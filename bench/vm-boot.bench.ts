import { chownSync } from "node:fs";
import { join } from "node:path";
import type { MachineStorage } from "#drivers/appliance/qemu/storage.ts";
import { systemGuestBuilder } from "#drivers/guest/builder.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import { booting, measurePeers } from "./peer-boots.ts";

const runs = 3;
const tinyAimMs = 3000;
const reference = "EMOTIVE: about 20 s";

const limitMs = 290_000;
const cases = ["tiny", "debian", "peers"];

export const benchmark: Benchmark = {
  name: "vm-boot",
  about:
    "From a request to a guest that answers SSH, booted: the tiny guest and the Debian guest; beside it libvirt, LXC and podman",
  cases,
  async run({ signal: stop, progress, cases: asked }) {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
    const builder = systemGuestBuilder(guestCache, subprocess);
    const debianSpec = { name: "debian", suite: "bookworm", packages: [], diskBytes: 2 * 1024 ** 3 };
    const tiny = await builder.tiny(progress, signal);
    const guests = [
      { name: "tiny", guest: tiny, aimMs: tinyAimMs },
      { name: "Debian", guest: await builder.debian(debianSpec, progress, signal) },
    ].filter(({ name }) => asked?.has(name.toLowerCase()) !== false);
    const rows: BenchRow[] = [];
    for (const { name, guest, aimMs } of guests) {
      await using bench = await openMachineBench(guest, signal, overlays(guest, signal));
      const times: number[] = [];
      for (let run = 1; run <= runs; run += 1) {
        const begun = await bench.begin(`boot-${run}`, run, "cold");
        progress(`${name} ${run} of ${runs}: ${Math.round(begun.answersMs)} ms`);
        times.push(begun.answersMs);
        await bench.end(begun.plan);
      }
      const figures = range(times);
      rows.push({
        case: name,
        metric: "request → answers SSH",
        unit: "ms",
        reference,
        aim: aimMs === undefined ? "-" : `<= ${aimMs}`,
        ...figures,
        ok: aimMs === undefined || figures.value <= aimMs,
      });
    }
    if (asked?.has("peers") !== false)
      rows.push(...(await measurePeers(booting, tiny, runs, { signal, progress })));
    return rows;
  },
};

/** A fresh layer over the guest's disk, if it has one. */
function overlays(guest: BuiltGuest, signal: AbortSignal): MachineStorage {
  const { disk } = guest.image;
  return {
    async prepare({ directory, uid }) {
      if (disk === undefined) return [];
      const base = guest.files.get(disk.digest) ?? "";
      const file = join(directory, "root.qcow2");
      const make = ["create", "-q", "-f", "qcow2", file, String(disk.virtualBytes)];
      await subprocess.check("qemu-img", make, signal);
      chownSync(file, uid, uid);
      const layers = [
        { file, format: "qcow2" as const },
        { file: base, format: disk.format },
      ];
      return [{ name: "root", readOnly: false, layers }];
    },
    remove: () => Promise.resolve(),
  };
}

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SshPlace } from "#drivers/appliance/port.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { forgetShells } from "#drivers/ssh/run-over-ssh.ts";
import { openLxc, openPodman } from "./containers.ts";
import type { Containers } from "./containers.ts";
import { domainXml, openLibvirt } from "./libvirt.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";
import { peerGuest, peerId } from "./peer-guest.ts";
import { peerRow, unlessAbsent } from "./peer-rows.ts";
import { answersAs } from "./ssh-answers.ts";

/** Something that starts a machine of a kind again and again; times in ms from the request on. */
type Peer = AsyncDisposable & { once(run: number, signal: AbortSignal): Promise<PeerTimes> };
type PeerTimes = {
  /** Its program has returned: what it started runs. */
  readonly startedMs: number;
  readonly answersMs: number;
};

type Kind = {
  readonly name: string;
  readonly open: (guest: BuiltGuest, signal: AbortSignal) => Promise<Peer>;
};

const memoryMib = 128;

/** What a machine is booted with elsewhere: the same guest by libvirt, its root and SSH server alone as containers. */
export const booting: readonly Kind[] = [
  { name: "tiny, booted by libvirt (virsh create)", open: booted },
  {
    name: "tiny's root as a container (lxc-start)",
    open: async (guest, signal) => contained(await openLxc(guest, signal)),
  },
  {
    name: "tiny's root as a container (podman run)",
    open: async (guest, signal) => contained(await openPodman(guest, signal)),
  },
];

/** What a machine is resumed with elsewhere: as the one that was saved, not as another one. */
export const resuming: readonly Kind[] = [
  { name: "tiny, resumed by libvirt (virsh restore)", open: resumed },
];

/** Rows of those that run here; of the others one that tells why not. */
export async function measurePeers(
  kinds: readonly Kind[],
  guest: BuiltGuest,
  runs: number,
  { signal, progress }: BenchOptions,
): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const { name, open } of kinds) {
    const own = await unlessAbsent(name, signal, async () => {
      await using peer = await open(guest, signal);
      const times: PeerTimes[] = [];
      for (let run = 1; run <= runs; run += 1) {
        const taken = await peer.once(run, signal);
        progress(`${name} ${run} of ${runs}: ${Math.round(taken.answersMs)} ms`);
        times.push(taken);
      }
      const startedMs = times.map((one) => one.startedMs);
      const answersMs = times.map((one) => one.answersMs);
      return [
        peerRow(name, "request → started", startedMs),
        peerRow(name, "request → answers SSH", answersMs),
      ];
    });
    rows.push(...own);
  }
  return rows;
}

async function timed(
  begin: () => Promise<SshPlace>,
  hostname: string,
  directory: string,
  signal: AbortSignal,
): Promise<PeerTimes> {
  // Of its own: who is reached at the same address later is another one.
  const ssh = { directory: mkdtempSync(join(directory, "ssh-")) };
  try {
    const beganAt = performance.now();
    const place = await begin();
    const startedMs = performance.now() - beganAt;
    await answersAs(hostname, () => place, ssh, peerId, signal);
    return { startedMs, answersMs: performance.now() - beganAt };
  } finally {
    await forgetShells(ssh, peerId);
  }
}

function contained(containers: Containers): Peer {
  const { hostname, directory } = containers;
  return {
    async once(run, signal) {
      const times = await timed(() => containers.start(`${run}`, signal), hostname, directory, signal);
      await containers.stop(`${run}`, signal);
      return times;
    },
    [Symbol.asyncDispose]: () => containers[Symbol.asyncDispose](),
  };
}

async function booted(built: BuiltGuest, signal: AbortSignal): Promise<Peer> {
  const libvirt = await openLibvirt(signal);
  const { cell, virsh } = libvirt;
  return {
    async once(run, stop) {
      const guest = peerGuest(built, cell.directory, `peer-${run}`, run);
      const file = join(cell.directory, `${guest.name}.xml`);
      writeFileSync(file, domainXml(guest, memoryMib));
      const begin = async (): Promise<SshPlace> => {
        await virsh(["create", file], stop);
        return guest.place(cell.netns);
      };
      const times = await timed(begin, guest.name, cell.directory, stop);
      await virsh(["destroy", guest.name], stop);
      return times;
    },
    [Symbol.asyncDispose]: () => libvirt[Symbol.asyncDispose](),
  };
}

async function resumed(built: BuiltGuest, signal: AbortSignal): Promise<Peer> {
  await using undo = new AsyncDisposableStack();
  const { cell, virsh } = undo.use(await openLibvirt(signal));
  const guest = peerGuest(built, cell.directory, "peer", 1);
  const xml = join(cell.directory, "peer.xml");
  const saved = join(cell.directory, "saved");
  writeFileSync(xml, domainXml(guest, memoryMib));
  const after = async (words: readonly string[], stop: AbortSignal): Promise<PeerTimes> => {
    const begin = async (): Promise<SshPlace> => {
      await virsh(words, stop);
      return guest.place(cell.netns);
    };
    return await timed(begin, guest.name, cell.directory, stop);
  };
  await after(["create", xml], signal);
  const owned = undo.move();
  return {
    async once(_run, stop) {
      await virsh(["save", guest.name, saved], stop);
      return await after(["restore", saved], stop);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

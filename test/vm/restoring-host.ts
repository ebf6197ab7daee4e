import { rmSync } from "node:fs";
import { join } from "node:path";
import { hostId, ipv4Address } from "#base/ids.ts";
import { MachineCheckpoints } from "#drivers/appliance/qemu/checkpoint/machines.ts";
import { restoreStarter, restoringStorage } from "#drivers/appliance/qemu/checkpoint/restorer.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import type { NamedPeer } from "#drivers/checkpoint/port.ts";
import { checkpointStores } from "#drivers/checkpoint/stores.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Digest } from "#model/image.ts";
import { chainOf } from "#model/checkpoint-chain.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, hostOptions, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineHost } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";

const address = ipv4Address("127.0.0.1");

export type RestoringHost = MachineHost & {
  readonly peer: NamedPeer;
  readonly checkpoints: MachineCheckpoints;
  readonly blobs: DiskBlobStore;
};

/** A host whose machines have checkpoints, and begin from those of others. */
export async function restoringHost(guest: BuiltGuest, name: string): Promise<RestoringHost> {
  const { stateDir, log } = hostOptions();
  const make = layerMaker(subprocess);
  const random = systemRandom();
  const layers = spooledLayers({ directory: join(stateDir, "spool"), make, clock, random, log });
  await layers.recover(signal);
  const store = new DiskBlobStore({ directory: join(stateDir, "blobs"), log });
  await store.recover(signal);
  const exchange = await openBlobExchange({ store, address, log });
  exchange.useToken("token of the test");
  const checkpoints: MachineCheckpoints = new MachineCheckpoints({
    directory: join(stateDir, "checkpoints"),
    blobs: store,
    exchange,
    storeFor: checkpointStores({
      blobs: store,
      exchange,
      transfer: openTransfer({ clock, roots: [] }),
      secretFor: () => Promise.resolve({}),
      clock,
      log,
    }),
    subprocess,
    clock,
    log,
    linkBps: 125e6,
    running: (id) => host.driver.running(id),
  });
  await checkpoints.recover(signal);
  const parts = { checkpoints, blobs: store, subprocess, clock };
  const path = (digest: Digest): string => guest.files.get(digest) ?? store.path(digest);
  const host = await machineHost(guest, {
    blobs: { path },
    starters: [restoreStarter(parts)],
    storage: restoringStorage(machineStorage({ layers, blobs: { has: () => true, path } }), parts),
    standsStill: (id) => checkpoints.standsStill(id),
  });
  const dispose = host[Symbol.asyncDispose].bind(host);
  return Object.assign(host, {
    peer: { host: hostId(name), address, port: exchange.port },
    checkpoints,
    blobs: store,
    async [Symbol.asyncDispose]() {
      await dispose();
      await exchange.close();
      await layers.close();
      rmSync(stateDir, { recursive: true });
    },
  });
}

/** They know each other from now on. */
export function introduce(...hosts: readonly RestoringHost[]): void {
  for (const { checkpoints, peer } of hosts) {
    checkpoints.usePeers(
      peer.host,
      hosts.map((one) => one.peer),
    );
  }
}

/** The plan of a machine that goes on from a checkpoint that this host has taken. */
export function goingOnFrom(taker: RestoringHost, checkpoint: string, plan: AppliancePlan): AppliancePlan {
  const all = taker.checkpoints.observe();
  const chain = chainOf(
    checkpoint,
    all.map((one) => one.checkpoint),
  );
  if (chain === undefined) throw new Error(`there is no ${checkpoint}`);
  const { copies } = all.find((one) => one.checkpoint.id === checkpoint) ?? { copies: [] };
  return { ...plan, vm: { ...plan.vm!, restore: { checkpoints: chain, copies: { hosts: copies } } } };
}

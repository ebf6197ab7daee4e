import { join } from "node:path";
import { roomAt } from "#drivers/appliance/qemu/room/room-at.ts";
import { plentyOf } from "#drivers/appliance/qemu/room/who-is-held.ts";
import { blobLimits } from "#drivers/blob/limits.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import { outsideImages } from "#drivers/image/outside-images.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { ContentDrivers } from "#host/content.ts";
import type { HostConfig } from "#lab/config.ts";
import type { Manager } from "#main/process.ts";

/** The same on every host, so that others find it again after a restart; any free one where it is taken. */
const usualPort = 7420;
/** Where files may be fetched from by their addresses on a host that says nothing else. */
const fileRoots = ["/srv/consort"];

/** From where servers outside the cloud are reached. */
export const outside = ({ outsideNetnsFd }: HostConfig): { readonly netns?: string } =>
  outsideNetnsFd === undefined ? {} : { netns: `/proc/${process.pid}/fd/${outsideNetnsFd}` };

/** What a host needs to hold images and checkpoints. Not recovered yet: the host manager does that. */
export async function hostContent({ config, clock, log }: Manager<HostConfig>): Promise<ContentDrivers> {
  // What is fetched leaves so much that no guest is held for it.
  const plentyBytes = plentyOf(roomAt(config.stateDir));
  const reserveBytes = Math.max(blobLimits.diskReserveBytes, plentyBytes);
  const store = new DiskBlobStore({ directory: join(config.stateDir, "blobs"), log, reserveBytes });
  const { address } = config.uplink;
  const exchange = await openBlobExchange({ store, address, log, port: usualPort }).catch(() =>
    openBlobExchange({ store, address, log }),
  );
  const images = outsideImages({
    store,
    transfer: openTransfer({
      clock,
      roots: config.stagingDirectories ?? fileRoots,
      ...outside(config),
    }),
    subprocess: systemSubprocess(),
    clock,
    sizeBytesMax: blobLimits.blobBytesMax,
  });
  return { store, exchange, images };
}

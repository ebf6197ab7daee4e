import { Buffer } from "node:buffer";
import type { GuestContext } from "./content.ts";
import { isoDisk } from "./iso9660.ts";

/** What cloud-init looks for. */
const label = "cidata";

/** The context as a small read-only disk, for a guest that boots. */
export function contextDisk({ archive, cloudInit }: GuestContext): Uint8Array {
  return isoDisk(label, [
    { name: "meta-data", content: Buffer.from(cloudInit.metaData) },
    { name: "user-data", content: Buffer.from(cloudInit.userData) },
    { name: "network-config", content: Buffer.from(cloudInit.networkConfig) },
    { name: "consort.tar", content: archive },
  ]);
}

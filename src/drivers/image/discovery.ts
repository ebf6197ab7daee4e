import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import { parseAddress } from "#drivers/transfer/address.ts";
import type { Transfer } from "#drivers/transfer/port.ts";
import { readImageManifest } from "#formats/image-manifest.ts";
import type { ContentSource, ImageSpec } from "#model/image.ts";
import { imageLimits } from "./limits.ts";
import type { Wanted } from "./port.ts";

const manifestEnding = ".image.json";
const diskEnding = /\.(?:qcow2|raw|img)(?:\.gz|\.zst)?$/;

/**
 * Images in a directory: each description (<name>.image.json), and each disk beside them that no description speaks of.
 * What is in a directory is its owner's choice: a name that no image may have is passed over.
 */
export async function imagesAt(
  transfer: Transfer,
  workshop: string,
  { url, secret }: Omit<Wanted, "sha256">,
  signal: AbortSignal,
): Promise<readonly ImageSpec[]> {
  const at = url.replace(/\/*$/, "/");
  const names = await transfer.list({ url: at, ...(secret === undefined ? {} : { secret }) }, signal);
  const addressOf = (name: string): string => `${at}${name.split("/").map(encodeURIComponent).join("/")}`;
  const found: ImageSpec[] = [];
  for (const name of names
    .filter((one) => one.endsWith(manifestEnding))
    .slice(0, imageLimits.discoveredMax)) {
    const file = join(workshop, `manifest-${randomUUID()}`);
    try {
      const from = { url: addressOf(name), ...(secret === undefined ? {} : { secret }) };
      await transfer.download(from, file, { sizeBytesMax: imageLimits.manifestBytesMax }, () => {}, signal);
      found.push(readImageManifest(await readFile(file, "utf8"), addressOf));
    } catch (cause) {
      signal.throwIfAborted();
      throw new ConsortError("bad_input", `Cannot read ${addressOf(name)}: ${messageOf(cause)}`, { cause });
    } finally {
      for (const left of [file, `${file}.part`, `${file}.part.note`]) await rm(left, { force: true });
    }
  }
  const described = new Set(found.flatMap(addressesOf));
  for (const name of names.filter((one) => diskEnding.test(one))) {
    const image = imageName(name.replace(diskEnding, ""));
    if (image === undefined || described.has(addressOf(name))) continue;
    if (found.length >= imageLimits.discoveredMax) break;
    found.push(bareDisk(image, addressOf(name)));
  }
  for (const image of found) for (const address of addressesOf(image)) parseAddress({ url: address });
  return found;
}

const bareDisk = (name: string, url: string): ImageSpec => ({
  name,
  role: "base",
  architecture: process.arch === "arm64" ? "arm64" : "amd64",
  features: ["seed"],
  disk: { kind: "url", url },
  boot: { kind: "disk", firmware: "bios" },
  origin: url,
});

/** The nearest name an image may have; undefined when nothing is left of it. */
function imageName(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/[._-]{2,}/g, "-")
    .replace(/^[^a-z]+|[._-]+$/g, "")
    .slice(0, 63);
  return name === "" ? undefined : name;
}

function addressesOf({ disk, boot }: ImageSpec): string[] {
  const kernel = boot?.kind === "kernel" ? [boot.kernel, boot.initrd] : [];
  return [disk, ...kernel].flatMap((source: ContentSource | undefined) =>
    source?.kind === "url" ? [source.url] : [],
  );
}

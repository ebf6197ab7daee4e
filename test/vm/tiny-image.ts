import { millis } from "#base/units.ts";
import { uploadFile } from "#cli/image-upload.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { imageSpecDocument } from "#formats/image-manifest.ts";
import type { BlobRef, ImageSpec } from "#model/image.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { Rig } from "../rig/rig.ts";

/** The tiny guest becomes the image "tiny" of a lab's catalogue; built once for all labs of this machine. */
export async function registerTiny(rig: Rig, signal: AbortSignal): Promise<void> {
  const guest = await buildTinyGuest("/var/cache/consort/guests", () => {}, systemSubprocess(), signal);
  const { boot, name, role, architecture, features } = guest.image;
  if (boot?.kind !== "kernel" || boot.initrd === undefined) throw new Error("the tiny guest has no kernel");
  const upload = async ({ digest }: BlobRef): Promise<{ kind: "blob"; blob: BlobRef }> => ({
    kind: "blob",
    blob: await uploadFile(rig.client(), guest.files.get(digest) ?? "", () => {}, signal),
  });
  const kernel = await upload(boot.kernel);
  const initrd = await upload(boot.initrd);
  const spec: ImageSpec = {
    name,
    role,
    architecture,
    features,
    boot: { kind: "kernel", kernel, initrd, commandLine: boot.commandLine },
  };
  const path = `/v1/images/${name}`;
  let image = await rig.client().request<ImageStatus>("PUT", path, signal, imageSpecDocument(spec));
  while (image.state === "importing") {
    await systemClock().sleep(millis(50), signal);
    image = await rig.client().request<ImageStatus>("GET", path, signal);
  }
  if (image.state !== "ready") throw new Error(`the image ${name} is ${image.state}: ${image.message}`);
}

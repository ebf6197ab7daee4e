import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes, millis } from "#base/units.ts";
import type { Arguments, OptionSpec } from "#cli/arguments.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { imageState } from "#cli/image-text.ts";
import { uploadFile } from "#cli/image-upload.ts";
import { progressOn } from "#cli/progress.ts";
import { imageSpecDocument } from "#formats/image-manifest.ts";
import type { ContentSource, ImageSpec } from "#model/image.ts";
import type { ImageStatus } from "#protocol/http/image.ts";

export const addOptions: Readonly<Record<string, OptionSpec>> = {
  role: {
    about: "What it is for: base (machines), software (/opt), root (tasks)",
    value: "ROLE",
    oneOf: ["base", "software", "root"],
  },
  architecture: { about: "Of its programs (amd64)", value: "NAME" },
  features: { about: "What its guest can do, with commas: agent, context, seed (seed)", value: "LIST" },
  firmware: { about: "What it boots its disk with", value: "KIND", oneOf: ["bios", "uefi"] },
  kernel: {
    about: "Boots with this kernel, handed to the machine: an address, or a file with upload",
    value: "WHERE",
  },
  initrd: { about: "And this initial RAM disk", value: "WHERE" },
  append: { about: "And this kernel command line", value: "TEXT" },
  sha256: { about: "add: of what is at the address; anything else is refused", value: "HEX" },
  credentials: {
    about: "Name of a secret with what the other side asks for (consort secret)",
    value: "NAME",
  },
};

const pollMs = millis(250);

/** Where the content is, as a part of the description; of a file once it was uploaded. */
type Locate = (where: string) => Promise<ContentSource>;

export async function addImage(
  client: Client,
  [name = "", where]: readonly string[],
  given: Arguments,
  context: CommandContext,
): Promise<ImageStatus> {
  const credentials = given.text("credentials");
  const sha256 = given.text("sha256");
  const locate: Locate = async (url) => ({
    kind: "url",
    url,
    ...(sha256 === undefined || url !== where ? {} : { sha256 }),
    ...(credentials === undefined ? {} : { credentials }),
  });
  const origin = where?.includes("://") === true && credentials === undefined ? { origin: where } : {};
  return register(client, { ...(await describe(name, where, given, locate)), ...origin }, given, context);
}

export async function uploadImage(
  client: Client,
  [name = "", where]: readonly string[],
  given: Arguments,
  context: CommandContext,
): Promise<ImageStatus> {
  const progress = progressOn(context);
  const locate: Locate = async (path) => {
    const blob = await uploadFile(
      client,
      path,
      (done, total) => progress.show(`${path}: ${formatBytes(bytes(done))} of ${formatBytes(bytes(total))}`),
      context.signal,
    );
    progress.end();
    return { kind: "blob", blob };
  };
  return register(client, await describe(name, where, given, locate), given, context);
}

/** Registers it and, unless told not to, waits until it is ready. Throws `driver_failed` when it cannot be. */
export async function register(
  client: Client,
  spec: ImageSpec,
  given: Arguments,
  context: CommandContext,
): Promise<ImageStatus> {
  const path = route`/v1/images/${spec.name}`;
  let image = await client.request<ImageStatus>("PUT", path, context.signal, imageSpecDocument(spec));
  if (given.has("detach")) return image;
  const progress = progressOn(context);
  try {
    while (image.state === "importing") {
      progress.show(`${spec.name}: ${imageState(image)}`);
      await context.clock.sleep(pollMs, context.signal);
      image = await client.request<ImageStatus>("GET", path, context.signal);
    }
  } finally {
    progress.end();
  }
  if (image.state === "ready") return image;
  throw new ConsortError(
    "driver_failed",
    `${image.message ?? `Cannot bring in ${spec.name}: no reason is known`}; it is listed as failed until it is registered again or removed (consort image rm ${spec.name})`,
  );
}

async function describe(
  name: string,
  where: string | undefined,
  given: Arguments,
  locate: Locate,
): Promise<ImageSpec> {
  const role = (given.text("role") ?? "base") as ImageSpec["role"];
  const [kernel, initrd] = [given.text("kernel"), given.text("initrd")];
  if (where === undefined && kernel === undefined)
    throw new ConsortError("bad_input", `Cannot register ${name}: its disk, or --kernel, was wanted`);
  const features = given.text("features") ?? (role === "base" ? "seed" : "");
  const boot: ImageSpec["boot"] =
    kernel === undefined
      ? { kind: "disk", firmware: (given.text("firmware") ?? "bios") as "bios" | "uefi" }
      : {
          kind: "kernel",
          kernel: await locate(kernel),
          ...(initrd === undefined ? {} : { initrd: await locate(initrd) }),
          commandLine: given.text("append") ?? "",
        };
  return {
    name,
    role,
    architecture: given.text("architecture") ?? "amd64",
    // The manager refuses what it does not know.
    features: features.split(",").filter(Boolean) as ImageSpec["features"][number][],
    ...(where === undefined ? {} : { disk: await locate(where) }),
    ...(role === "base" ? { boot } : {}),
  };
}

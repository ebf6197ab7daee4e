import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes, mebibytes } from "#base/units.ts";
import type { Arguments, OptionSpec } from "#cli/arguments.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { register } from "#cli/image-add.ts";
import { uploadFile } from "#cli/image-upload.ts";
import type { Verb } from "#cli/image-verb.ts";
import { progressOn } from "#cli/progress.ts";
import { size } from "#cli/quantities.ts";
import type { BuildProgress, BuiltGuest, GuestBuilder } from "#drivers/guest/port.ts";
import { parseBytes } from "#formats/units.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { BlobRef, ContentSource, Digest, ImageSpec } from "#model/image.ts";

export const buildOptions: Readonly<Record<string, OptionSpec>> = {
  packages: {
    about: "build debian, software: Debian packages it is to have, with commas",
    value: "LIST",
  },
  suite: { about: "build debian: Debian's release (bookworm)", value: "NAME" },
  disk: { about: "build debian: how large its root disk is (2GiB)", value: "SIZE" },
  directory: { about: "build software: what is in it becomes the image's root", value: "DIRECTORY" },
};

const diskBytesDefault = mebibytes(2048);
const diskBytesLeast = mebibytes(512);

type Kind = keyof GuestBuilder;
const kinds: readonly Kind[] = ["tiny", "debian", "software"];

export const build: Verb = {
  takes: [1, 2],
  usage: "image build tiny|debian|software [NAME]",
  async run(client, [wanted = "", name = wanted], given, context) {
    const kind = kinds.find((each) => each === wanted);
    if (kind === undefined) {
      const suggestion = didYouMean(wanted, kinds) ?? `${kinds.join(", ")} were wanted`;
      throw new ConsortError("bad_input", `Cannot build "${wanted}": no such kind; ${suggestion}`);
    }
    const progress = progressOn(context);
    const builder = await context.tools.guestBuilder();
    let built: BuiltGuest;
    try {
      const tell: BuildProgress = (step) => progress.show(`${name}: ${step}`);
      built = await buildAs(kind, name, builder, given, tell, context.signal);
    } finally {
      progress.end();
    }
    const image = await register(client, await brought(built, name, client, context), given, context);
    return {
      value: image,
      text: `${name} is built and registered: ${size(image.sizeBytes ?? totalOf(built))}\n`,
    };
  },
};

function buildAs(
  kind: Kind,
  name: string,
  builder: GuestBuilder,
  given: Arguments,
  tell: BuildProgress,
  signal: AbortSignal,
): Promise<BuiltGuest> {
  const packages = (given.text("packages") ?? "").split(",").filter(Boolean);
  switch (kind) {
    case "tiny":
      return builder.tiny(tell, signal);
    case "debian": {
      const suite = given.text("suite") ?? "bookworm";
      return builder.debian({ name, suite, packages, diskBytes: diskBytesOf(given) }, tell, signal);
    }
    case "software": {
      const directory = given.text("directory");
      return builder.software(
        { name, packages, ...(directory === undefined ? {} : { directory }) },
        tell,
        signal,
      );
    }
    default:
      return kind satisfies never;
  }
}

function diskBytesOf(given: Arguments): number {
  const text = given.text("disk");
  if (text === undefined) return diskBytesDefault;
  const parsed = parseBytes(text);
  if (parsed.ok && parsed.value >= diskBytesLeast) return parsed.value;
  throw new ConsortError(
    "bad_input",
    `Cannot make a disk of "${text}": a size such as 4GiB was wanted, ${formatBytes(diskBytesLeast)} at least`,
  );
}

/** What was built, its content at a host of the cloud. */
async function brought(
  { image, files }: BuiltGuest,
  name: string,
  client: Client,
  context: CommandContext,
): Promise<ImageSpec> {
  const sources = new Map<Digest, ContentSource>();
  const progress = progressOn(context);
  try {
    for (const [digest, file] of files) {
      const tell = (done: number, total: number): void =>
        progress.show(`${name}: bringing ${formatBytes(bytes(done))} of ${formatBytes(bytes(total))}`);
      sources.set(digest, { kind: "blob", blob: await uploadFile(client, file, tell, context.signal) });
    }
  } finally {
    progress.end();
  }
  const sourceOf = ({ digest }: BlobRef): ContentSource => {
    const source = sources.get(digest);
    if (source === undefined)
      throw new ConsortError("internal", `Cannot register ${name}: ${digest} was not built`);
    return source;
  };
  const { role, architecture, features, disk, boot } = image;
  return {
    name,
    role,
    architecture,
    features,
    ...(disk === undefined ? {} : { disk: sourceOf(disk) }),
    ...(boot?.kind !== "kernel"
      ? {}
      : {
          boot: {
            kind: "kernel",
            kernel: sourceOf(boot.kernel),
            ...(boot.initrd === undefined ? {} : { initrd: sourceOf(boot.initrd) }),
            commandLine: boot.commandLine,
          },
        }),
  };
}

function totalOf({ image }: BuiltGuest): number {
  const { disk, boot } = image;
  const kernel = boot?.kind === "kernel" ? boot.kernel.sizeBytes + (boot.initrd?.sizeBytes ?? 0) : 0;
  return (disk?.sizeBytes ?? 0) + kernel;
}

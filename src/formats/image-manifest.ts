import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import type { ContentSource, Digest, ImageSpec } from "#model/image.ts";

/** As in ensemble files. */
export const imageNamePattern = /^[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*$/;
const nameCharactersMax = 63;
const commandLineCharactersMax = 1024;

const hex = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits were wanted");

const contentSchema = z.union([
  z.strictObject({
    url: z
      .string()
      .min(1)
      .max(2048)
      .describe("Where it is; in a description that is found: or a file beside it."),
    sha256: hex.optional().describe("Of what is at the address."),
    credentials: z
      .string()
      .max(63)
      .optional()
      .describe("Name of a secret with what the other side asks for."),
  }),
  z.strictObject({
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    sizeBytes: z.number().int().nonnegative(),
  }),
]);

/** An image as users and builders describe it. */
export const imageSpecSchema = z.strictObject({
  name: z
    .string()
    .max(nameCharactersMax)
    .regex(imageNamePattern, "a name of small letters and digits was wanted, such as debian-12"),
  role: z.enum(["base", "software", "root"]).default("base"),
  architecture: z
    .string()
    .regex(/^[a-z0-9_]{1,32}$/)
    .default("amd64"),
  features: z
    .array(z.enum(["agent", "context", "seed"]))
    .max(8)
    .default([]),
  disk: contentSchema.optional(),
  boot: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("disk"), firmware: z.enum(["bios", "uefi"]).default("bios") }),
      z.strictObject({
        kind: z.literal("kernel"),
        kernel: contentSchema,
        initrd: contentSchema.optional(),
        commandLine: z
          .string()
          .max(commandLineCharactersMax)
          .regex(/^[\x20-\x7e]*$/)
          .default(""),
      }),
    ])
    .optional(),
  origin: z.string().max(2048).optional(),
});

type Described = z.output<typeof imageSpecSchema>;

/** @throws bad_input for what could be no image */
export function imageSpecOf(described: Described): ImageSpec {
  const { name, role, architecture, features, disk, boot, origin } = described;
  const fail = (why: string): never => {
    throw new ConsortError("bad_input", `Cannot register ${name}: ${why}`);
  };
  if (disk === undefined && boot?.kind !== "kernel") fail("a disk, or a kernel, was wanted");
  if (role === "base" && boot === undefined) fail("how it boots was wanted: from its disk, or with a kernel");
  if (role !== "base" && boot !== undefined) fail(`one for ${role} does not boot`);
  if (role !== "base" && disk === undefined) fail("its content was wanted as its disk");
  return {
    name,
    role,
    architecture,
    features,
    ...(disk === undefined ? {} : { disk: sourceOf(disk) }),
    ...(boot === undefined
      ? {}
      : {
          boot:
            boot.kind === "disk"
              ? boot
              : {
                  kind: "kernel",
                  kernel: sourceOf(boot.kernel),
                  ...(boot.initrd === undefined ? {} : { initrd: sourceOf(boot.initrd) }),
                  commandLine: boot.commandLine,
                },
        }),
    ...(origin === undefined ? {} : { origin }),
  };
}

/** A description found beside its files, which it names without a path. @throws bad_input */
export function readImageManifest(text: string, addressOf: (file: string) => string): ImageSpec {
  const parsed = imageSpecSchema.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new ConsortError(
      "bad_input",
      parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
    );
  const image = imageSpecOf(parsed.data);
  const { disk, boot } = image;
  return {
    ...image,
    ...(disk === undefined ? {} : { disk: beside(disk, addressOf) }),
    ...(boot?.kind !== "kernel"
      ? {}
      : {
          boot: {
            ...boot,
            kernel: beside(boot.kernel, addressOf),
            ...(boot.initrd === undefined ? {} : { initrd: beside(boot.initrd, addressOf) }),
          },
        }),
  };
}

function beside(source: ContentSource, addressOf: (file: string) => string): ContentSource {
  if (source.kind !== "url" || /^[a-z0-9]+:\/\//.test(source.url)) return source;
  if (/^[\w.+-]+$/.test(source.url) && !/^\.+$/.test(source.url))
    return { ...source, url: addressOf(source.url) };
  throw new ConsortError(
    "bad_input",
    `Cannot use "${source.url}": an address, or a file's name without a path, was wanted`,
  );
}

/** As users describe it: what `imageSpecOf` reads. */
export function imageSpecDocument({ disk, boot, origin, features, ...rest }: ImageSpec): Described {
  return {
    ...rest,
    features: [...features],
    ...(disk === undefined ? {} : { disk: contentDocument(disk) }),
    ...(boot === undefined
      ? {}
      : {
          boot:
            boot.kind === "disk"
              ? boot
              : {
                  kind: "kernel",
                  kernel: contentDocument(boot.kernel),
                  ...(boot.initrd === undefined ? {} : { initrd: contentDocument(boot.initrd) }),
                  commandLine: boot.commandLine,
                },
        }),
    ...(origin === undefined ? {} : { origin }),
  };
}

function contentDocument(source: ContentSource): NonNullable<Described["disk"]> {
  if (source.kind === "blob") return { ...source.blob };
  const { url, sha256, credentials } = source;
  return {
    url,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

function sourceOf(content: NonNullable<Described["disk"]>): ContentSource {
  if ("digest" in content) {
    const digest = content.digest as Digest;
    return { kind: "blob", blob: { digest, sizeBytes: bytes(content.sizeBytes) } };
  }
  const { url, sha256, credentials } = content;
  return {
    kind: "url",
    url,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

import { ConsortError, errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { commandHelp } from "#cli/help-text.ts";
import type { Outcome, Verb } from "#cli/image-verb.ts";
import { addImage, addOptions, register, uploadImage } from "#cli/image-add.ts";
import { build, buildOptions } from "#cli/image-build.ts";
import { describeImage, formatImages } from "#cli/image-text.ts";
import { count, size } from "#cli/quantities.ts";
import { findCommand } from "#cli/run.ts";
import { printable } from "#cli/table.ts";
import { didYouMean } from "#formats/suggestion.ts";
import { imageSpecOf } from "#formats/image-manifest.ts";
import type { imageSpecSchema } from "#formats/image-manifest.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { CollectResult } from "#protocol/topics.ts";
import type { z } from "zod";

const verbs: Readonly<Record<string, Verb>> = {
  ls: {
    takes: [0, 0],
    usage: "image ls",
    run: async (client, _words, given, { signal, clock, terminal }) => {
      const images = await client.request<ImageStatus[]>("GET", "/v1/images", signal);
      if (given.has("quiet")) return { value: images, text: images.map(({ name }) => `${name}\n`).join("") };
      return { value: images, text: formatImages(images, clock.now(), lineWidth(terminal)) };
    },
  },
  show: {
    takes: [1, 1],
    usage: "image show NAME",
    run: async (client, [name = ""], _given, { signal }) => {
      const image = await client.request<ImageStatus>("GET", route`/v1/images/${name}`, signal);
      return { value: image, text: describeImage(image) };
    },
  },
  add: {
    takes: [1, 2],
    usage: "image add NAME [ADDRESS]",
    run: async (client, words, given, context) => told(await addImage(client, words, given, context)),
  },
  upload: {
    takes: [1, 2],
    usage: "image upload NAME [FILE]",
    run: async (client, words, given, context) => told(await uploadImage(client, words, given, context)),
  },
  build,
  rm: {
    takes: [1, 1],
    usage: "image rm NAME",
    run: async (client, [name = ""], _given, { signal }) => {
      await client.request<void>("DELETE", route`/v1/images/${name}`, signal);
      return { value: { name, removed: true }, text: `${name} is removed from the catalogue\n` };
    },
  },
  discover: {
    takes: [1, 1],
    usage: "image discover ADDRESS",
    run: discover,
  },
  gc: {
    takes: [0, 0],
    usage: "image gc",
    run: async (client, _words, _given, { signal }) => {
      const result = await client.request<CollectResult>("POST", "/v1/content-collected", signal);
      const what =
        result.removed === 0
          ? "Nothing to remove: all content is needed, or was within the last two minutes"
          : `${count(result.removed, "blob")}, ${size(result.freedBytes)}, removed`;
      return { value: result, text: `${what}\n` };
    },
  },
};

export const command: Command = {
  usage: Object.values(verbs).map(({ usage }) => usage),
  options: {
    ...apiOptions,
    ...addOptions,
    ...buildOptions,
    quiet: { about: "ls: only their names, one a line", short: "q" },
    add: { about: "discover: register what is found" },
    detach: { about: "add, upload, discover --add: do not wait until it is ready", short: "d" },
  },
  about: [
    "add: a host fetches the disk at an address (file, http, https, ftp, sftp, s3, webhdfs), checks it and looks into it;\nthe name stands for it from then on. What is broken off is gone on with. upload: brings a file from here.\nRegistered again under its name, an image replaces the one before for what is brought up from then on.",
    "build: makes an image on this machine and uploads it. tiny: Debian's kernel with busybox, SSH and guest agent, all in\nmemory. debian: a Debian system on a disk, with the packages named; wants root. software: a read-only disk of a\ndirectory and of unpacked packages, for /opt/NAME. What was built of the same is found in /var/cache/consort\n(CONSORT_CACHE_DIR).",
    "discover: what is in a directory: each description (NAME.image.json) and each disk beside them. rm: refused while an\nensemble is made from it. gc: has every host remove content that nobody needs now.",
    "Ctrl-C ends the wait only: the manager goes on. An upload is gone on with when it is begun again.",
  ],
  examples: [
    {
      line: "consort image add debian https://cloud.debian.org/…/debian-12-genericcloud-amd64.qcow2",
      what: "a cloud image",
    },
    {
      line: "consort image upload tools tools.squashfs --role software",
      what: "a disk mounted at /opt/tools",
    },
    {
      line: "consort image add tiny --kernel s3://boot/vmlinuz --initrd s3://boot/initrd --credentials boot",
      what: "no disk at all",
    },
    { line: "consort image build tiny", what: "boots in two or three seconds without KVM" },
    {
      line: "sudo consort image build debian lamp --packages apache2,php,mariadb-server --disk 4GiB",
      what: "a Debian guest with software of its own",
    },
    {
      line: "consort image discover sftp://store/images --credentials store --add",
      what: "all of a directory",
    },
  ],
  takes: [0, Number.POSITIVE_INFINITY],
  async run(given, context) {
    const [name, ...words] = given.positionals;
    if (name === undefined) {
      context.terminal.out(commandHelp(findCommand("image"), command));
      return errorTable.bad_input.exit;
    }
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
    if (verb === undefined) {
      const suggestion = didYouMean(name, Object.keys(verbs)) ?? "see consort image --help";
      throw new ConsortError("bad_input", `Cannot run consort image ${name}: no such verb; ${suggestion}`);
    }
    if (words.length < verb.takes[0] || words.length > verb.takes[1])
      throw new ConsortError(
        "bad_input",
        `Cannot run consort image ${name}: ${count(words.length, "argument")} given, wanted: consort ${verb.usage}`,
      );
    const { value, text } = await verb.run(await connect(given, context), words, given, context);
    context.terminal.out(given.has("json") ? `${JSON.stringify(value, undefined, 2)}\n` : text);
    return 0;
  },
};

function told(image: ImageStatus): Outcome {
  const text =
    image.state === "ready"
      ? `${image.name} is ready: ${size(image.sizeBytes ?? 0)}${image.format === undefined ? "" : `, ${image.format}`}\n`
      : `${image.name} is registered; consort image show ${image.name} tells how far it is\n`;
  return { value: image, text };
}

async function discover(
  client: Client,
  [url = ""]: readonly string[],
  given: Arguments,
  context: CommandContext,
): Promise<Outcome> {
  const credentials = given.text("credentials");
  const body = { url, ...(credentials === undefined ? {} : { credentials }) };
  const found = await client.request<z.output<typeof imageSpecSchema>[]>(
    "POST",
    "/v1/images-discovered",
    context.signal,
    body,
  );
  const specs = found.map((one) => imageSpecOf(one));
  if (!given.has("add")) {
    const lines = specs.map(
      ({ name, disk }) => `${printable(`${name}  ${disk?.kind === "url" ? disk.url : "(kernel)"}`)}\n`,
    );
    return { value: found, text: lines.join("") || `Nothing was found at ${url}\n` };
  }
  const registered: ImageStatus[] = [];
  for (const spec of specs)
    registered.push(await register(client, withCredentials(spec, credentials), given, context));
  return {
    value: registered,
    text: registered.map((image) => told(image).text).join("") || "Nothing was found\n",
  };
}

/** What was listed with a secret is fetched with it. */
function withCredentials(spec: ReturnType<typeof imageSpecOf>, credentials: string | undefined): typeof spec {
  if (credentials === undefined) return spec;
  const { disk, boot, origin: _origin, ...rest } = spec;
  const known = <Source extends NonNullable<typeof disk>>(source: Source): Source =>
    source.kind === "url" ? { ...source, credentials } : source;
  return {
    ...rest,
    ...(disk === undefined ? {} : { disk: known(disk) }),
    ...(boot?.kind === "kernel"
      ? {
          boot: {
            ...boot,
            kernel: known(boot.kernel),
            ...(boot.initrd === undefined ? {} : { initrd: known(boot.initrd) }),
          },
        }
      : boot === undefined
        ? {}
        : { boot }),
  };
}

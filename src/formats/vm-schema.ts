import * as z from "zod";
import { bytesSchema, durationSchema, listOf, quantity, wholeNumber } from "#formats/fields.ts";
import { formatLimits } from "#formats/limits.ts";
import { parseBytesRate } from "#formats/units.ts";

/** What ensemble files say about virtual machines beyond what every appliance has. */
export const vmMachines = ["auto", "microvm", "q35"] as const;
export const vmAccels = ["auto", "kvm", "tcg"] as const;
export const vmStarts = ["auto", "cold", "warm"] as const;

const imageNameExpected = "an image's name in the catalogue, such as postgres";
const imageNameSchema = z
  .string({ error: imageNameExpected })
  .max(formatLimits.imageNameLength, { error: imageNameExpected })
  .regex(/^[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*$/, { error: imageNameExpected });

const rateSchema = quantity(parseBytesRate, ["10MiB/s"], "bytes per second");
const perSecond = wholeNumber(1, 10_000_000);

export const diskSchema = z.strictObject(
  {
    read: rateSchema.optional().describe("Bytes per second that are read at most."),
    write: rateSchema.optional().describe("Bytes per second that are written at most."),
    reads: perSecond.optional().describe("Read requests per second at most."),
    writes: perSecond.optional().describe("Write requests per second at most."),
  },
  { error: "a map such as {read: 50MiB/s, write: 20MiB/s}" },
);

const storeExpected = "an S3 bucket such as s3://backups/shop";

const checkpointSchema = z.union(
  [
    durationSchema,
    z.strictObject({
      every: durationSchema.describe("Between the beginnings of two of them; 1s or more."),
      copies: wholeNumber(1, formatLimits.checkpointCopies)
        .optional()
        .describe("On so many other hosts; 1 unless told."),
      store: z
        .string({ error: storeExpected })
        .max(1024, { error: storeExpected })
        .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:\/[^\s?#]*)?$/, { error: storeExpected })
        .optional()
        .describe("Kept there, instead of on other hosts."),
      credentials: z
        .string()
        .regex(/^[a-z][a-z0-9-]{0,39}$/, "the name of a secret, such as backups")
        .optional()
        .describe("A secret with the store's keys: consort secret set NAME."),
      keep: wholeNumber(1, formatLimits.checkpointsKept)
        .optional()
        .describe("Complete ones that are kept; 2 unless told."),
    }),
  ],
  { error: "how often, such as 30s, or {every, copies, keep} or {every, store, credentials, keep}" },
);

const keyExpected = "a public key as in ~/.ssh/id_ed25519.pub, such as ssh-ed25519 AAAA… me@home";

const keySchema = z
  .string({ error: keyExpected })
  .max(formatLimits.sshKeyLength, { error: keyExpected })
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  .regex(/^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: [^\u0000-\u001f\u007f]*)?$/, {
    error: keyExpected,
  });

export const vmSchema = z
  .strictObject(
    {
      machine: z
        .enum(vmMachines)
        .optional()
        .describe(
          "microvm: few devices, starts soonest. q35: an ordinary PC. auto, unless told: microvm where the image and what is asked for allow it.",
        ),
      accel: z
        .enum(vmAccels)
        .optional()
        .describe(
          "kvm: only on hosts where a guest really ran in it. tcg: in software. auto, unless told: kvm where it works.",
        ),
      vcpus: wholeNumber(1, formatLimits.vcpus)
        .optional()
        .describe("Virtual processors; as many as its cpu needs when absent, or 1."),
      vcpusMax: wholeNumber(1, formatLimits.vcpus)
        .optional()
        .describe("As many as it can have without a restart; vcpus when absent."),
      memoryMax: bytesSchema
        .optional()
        .describe("As much memory as it can have without a restart; memory when absent."),
      software: listOf(imageNameSchema, "a list of images, such as [postgres]")
        .max(formatLimits.softwareImages, { error: `at most ${formatLimits.softwareImages} images` })
        .optional()
        .describe("Read-only disks of the catalogue, found at /opt/NAME inside it."),
      home: bytesSchema.optional().describe("Size of a writable disk at /home; none when absent."),
      swap: bytesSchema.optional().describe("Size of a disk it swaps to; none when absent."),
      sshKeys: listOf(keySchema, "a list of public keys")
        .max(formatLimits.sshKeys, { error: `at most ${formatLimits.sshKeys} keys` })
        .optional()
        .describe("Who may log in as root."),
      start: z
        .enum(vmStarts)
        .optional()
        .describe(
          "warm: resumed from a snapshot of a booted guest, with an identity of its own. cold: booted. auto, unless told: warm where it can be had.",
        ),
      disk: diskSchema.optional().describe("Never exceeded, all its disks together; no limit when absent."),
      checkpoint: checkpointSchema
        .optional()
        .describe(
          "Taken again and again; none when absent. It goes on from the newest where its host is lost.",
        ),
    },
    { error: "a map such as {vcpus: 2, home: 1GiB}" },
  )
  .describe("Of a vm: what it has beyond what every appliance has.");

export type VmDocument = z.input<typeof vmSchema>;

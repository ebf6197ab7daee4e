import fc from "fast-check";
import { bytes, millis } from "#base/units.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { VmSpec } from "#model/vm.ts";

/** What makes an appliance a virtual machine, of any shape that the formats accept. */
const size = fc.integer({ min: 2 ** 20, max: 2 ** 40 }).map(bytes);
const perSecond = fc.integer({ min: 1, max: 10_000_000 });
const imageName = fc.constantFrom("tiny", "debian", "debian-12.5", "shop_db");

const key = fc
  .tuple(fc.constantFrom("ssh-ed25519", "ecdsa-sha2-nistp256"), fc.constantFrom("", " me@home", " a b  c"))
  .map(([type, comment]) => `${type} AAAAC3NzaC1lZDI1NTE5AAAA+/=${comment}`);

export const arbitraryDiskLimits = fc.record(
  {
    readBytesPerSecond: size,
    writeBytesPerSecond: size,
    readsPerSecond: perSecond,
    writesPerSecond: perSecond,
  },
  { noNullPrototype: true, requiredKeys: [] },
);

const vmFields = fc
  .record(
    {
      homeBytes: size,
      swapBytes: size,
      disk: arbitraryDiskLimits,
      checkpoint: fc.record(
        {
          everyMs: fc.integer({ min: 1000, max: 1e7 }).map(millis),
          copies: fc.integer({ min: 1, max: 7 }),
          store: fc.constantFrom("s3://backups", "s3://backups/a/b"),
          credentials: fc.constantFrom("backups", "keys-2"),
          keep: fc.integer({ min: 1, max: 100 }),
        },
        { noNullPrototype: true, requiredKeys: ["everyMs", "copies", "keep"] },
      ),
      machine: fc.constantFrom("auto" as const, "microvm" as const, "q35" as const),
      accel: fc.constantFrom("auto" as const, "kvm" as const, "tcg" as const),
      start: fc.constantFrom("auto" as const, "cold" as const, "warm" as const),
      vcpus: fc.integer({ min: 1, max: 32 }),
      software: fc.uniqueArray(imageName, { maxLength: 2 }),
      sshKeys: fc.array(key, { maxLength: 2 }),
    },
    {
      noNullPrototype: true,
      requiredKeys: ["machine", "accel", "start", "vcpus", "software", "sshKeys"],
    },
  )
  .chain((fields) =>
    fc.integer({ min: 0, max: fields.machine === "microvm" ? 0 : 4 }).map((more) => ({
      ...fields,
      vcpusMax: fields.vcpus + more,
    })),
  );

type VmFields = Pick<ApplianceSpec, "kind" | "image" | "memoryBytes" | "vm" | "enforcement">;

export const vms: fc.Arbitrary<VmFields> = fc
  .tuple(
    fc.oneof(imageName, fc.constant("https://example.org/a.qcow2")),
    fc.oneof(fc.constantFrom(128, 512), fc.integer({ min: 32, max: 4096 })).map((mib) => mib * 2 ** 20),
    fc.constantFrom(0, 1, 2 ** 30),
    vmFields,
  )
  .map(([image, memory, more, fields]) => {
    const memoryBytesMax = bytes(memory + (fields.machine === "microvm" ? 0 : more));
    const vm: VmSpec = { ...fields, memoryBytesMax };
    return { kind: "vm", image, memoryBytes: bytes(memory), vm };
  });

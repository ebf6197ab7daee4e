import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { macAddress } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { qemuArguments } from "./command.ts";
import type { DiskSpec, MachineSpec } from "./spec.ts";

const file = (name: string): Readonly<Record<string, unknown>> => ({
  driver: "file",
  filename: `/vm/${name}`,
});
const root: DiskSpec = {
  name: "root",
  layers: [
    { source: file("root.qcow2"), format: "qcow2" },
    { source: file("blobs/aa"), format: "qcow2" },
    { source: file("blobs/bb"), format: "raw" },
  ],
  readOnly: false,
};
const spec: MachineSpec = {
  name: "db",
  machine: "microvm",
  accel: "tcg",
  vcpus: 1,
  vcpusMax: 1,
  memoryBytes: mebibytes(128),
  memoryBytesMax: mebibytes(128),
  memory: { kind: "own" },
  boot: { kind: "kernel", kernel: "/vm/blobs/cc", initrd: "/vm/blobs/dd", commandLine: "console=ttyS0" },
  disks: [root],
  nics: [{ name: "eth0", tap: "tap0", mac: macAddress("52:54:00:00:00:01") }],
  incoming: false,
};

/** What follows an option, each time it is there. */
const valuesOf = (name: string, change: Partial<MachineSpec> = {}): string[] => {
  const all = qemuArguments({ ...spec, ...change });
  return all.flatMap((one, at) => (one === name ? [all[at + 1] ?? ""] : []));
};
const nodesOf = (disk: DiskSpec): Record<string, unknown>[] =>
  valuesOf("-blockdev", { disks: [disk] }).map((text) => JSON.parse(text) as Record<string, unknown>);

describe("qemuArguments()", () => {
  it("builds a disk from its lowest layer up, with only the top writable and no name taken from a header", () => {
    const nodes = nodesOf(root);
    assert.deepEqual(
      nodes.map((node) => [node["node-name"], node["read-only"], node["backing"]]),
      [
        ["root-below1-file", true, undefined],
        ["root-below1", true, undefined],
        ["root-below0-file", true, undefined],
        ["root-below0", true, "root-below1"],
        ["root-file", false, undefined],
        ["root", false, "root-below0"],
      ],
    );
    const alone = nodesOf({ ...root, layers: [root.layers[0]], readOnly: true });
    assert.deepEqual(alone.at(-1)?.["backing"], null);
    assert.equal(alone.at(-1)?.["read-only"], true);
  });

  it("keeps what a name says out of QEMU's option syntax", () => {
    const odd = { ...root, layers: [{ source: file("a,driver=x"), format: "raw" }] } as const;
    assert.equal(nodesOf(odd)[0]?.["filename"], "/vm/a,driver=x");
  });

  it("puts devices on the bus the machine has", () => {
    const has = (machine: MachineSpec["machine"], device: string): boolean =>
      valuesOf("-device", { machine }).some((value) => value.includes(device));
    assert.ok(has("microvm", "virtio-blk-device") && has("microvm", "virtio-net-device"));
    assert.ok(has("q35", "virtio-blk-pci") && has("q35", "virtio-serial-pci") && has("q35", "pvpanic"));
    assert.ok(!has("microvm", "pci") && !has("microvm", "pvpanic"));
  });

  it("gives a disk the same device however many processors there are, as what takes over its memory may have more", () => {
    const disksOf = (vcpus: number): string[] =>
      valuesOf("-device", { machine: "q35", vcpus, vcpusMax: 4 }).filter((value) =>
        value.includes("virtio-blk"),
      );
    assert.match(disksOf(1)[0] ?? "", /"num-queues":1\b/);
    assert.deepEqual(disksOf(1), disksOf(3));
  });

  it("gives an emulated machine room for its processors' code, and an accelerated one none", () => {
    assert.deepEqual(valuesOf("-accel", { vcpusMax: 4 }), ["tcg,thread=multi,tb-size=64"]);
    assert.deepEqual(valuesOf("-accel", { accel: "kvm" }), ["kvm"]);
  });

  it("shares its memory with a file where it is told to", () => {
    const memory = { kind: "file", path: "/vm/memory", shared: false } as const;
    const [ram] = valuesOf("-object", { memory });
    assert.deepEqual(JSON.parse(ram ?? ""), {
      "qom-type": "memory-backend-file",
      id: "ram",
      size: 128 * 1024 * 1024 + 8192,
      "mem-path": "/vm/memory",
      share: false,
    });
  });

  it("leaves room for memory to be plugged in, and processors", () => {
    assert.deepEqual(valuesOf("-m", { machine: "q35", memoryBytesMax: mebibytes(512) }), [
      "131080K,slots=1,maxmem=524296K",
    ]);
    assert.deepEqual(valuesOf("-smp", { vcpus: 2, vcpusMax: 4 }), ["cpus=2,maxcpus=4"]);
  });

  it("shows a display only where a guest boots by firmware", () => {
    assert.deepEqual(valuesOf("-vnc", { machine: "q35" }), []);
    const boot = { kind: "disk", firmware: "bios" } as const;
    assert.deepEqual(valuesOf("-vnc", { machine: "q35", boot }), ["unix:/vm/vnc"]);
    assert.deepEqual(valuesOf("-kernel", { machine: "q35", boot }), []);
  });

  it("waits to be told to go on, confined, and for another's state where that is to come", () => {
    const all = qemuArguments(spec);
    assert.ok(all.includes("-S"));
    assert.match(valuesOf("-sandbox")[0] ?? "", /^on,.*spawn=deny/);
    assert.deepEqual(valuesOf("-incoming"), []);
    assert.deepEqual(valuesOf("-incoming", { incoming: true }), ["defer"]);
  });
});

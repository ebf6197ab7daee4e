import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { hostId, ipv4Address } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes } from "#base/units.ts";
import { FakeBlobExchange, FakeBlobStore } from "#drivers/blob/fake.ts";
import type { FakeCloud } from "#drivers/blob/fake.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostContent } from "#host/content.ts";
import { planned } from "#host/sample.ts";
import type { BlobRef, Digest, Image } from "#model/image.ts";
import { sampleImage } from "#model/sample-vm.ts";
import type { HostPlan, VmPlan } from "#protocol/host-plan.ts";
import { topics } from "#protocol/topics.ts";
import type { CollectResult } from "#protocol/topics.ts";

const never = new AbortController().signal;
const token = "secret";
const address = ipv4Address("127.0.0.1");
const content = Buffer.from("a disk");
const blob: BlobRef = {
  digest: `sha256:${createHash("sha256").update(content).digest("hex")}`,
  sizeBytes: bytes(content.length),
};
const facts = { format: "raw", virtualBytes: bytes(512) } as const;
const { boot: _boot, ...sample } = sampleImage("debian");
const image: Image = { ...sample, disk: { ...blob, ...facts }, boot: { kind: "disk", firmware: "bios" } };
const machine = planned("vm", { kind: "vm", vm: { base: image, software: [] } as unknown as VmPlan });

const refuses = (): Promise<never> => Promise.reject(new Error("not here"));
const noSource: ImageSource = {
  bring: refuses,
  probe: async () => facts,
  append: refuses,
  discover: refuses,
  forgetParts: async () => {},
};

/** A host, and another one that has the disk if it is told to. */
function desk(source: Partial<ImageSource> = {}) {
  const cloud: FakeCloud = new Map();
  const [store, otherStore] = [new FakeBlobStore(), new FakeBlobStore()];
  const exchange = new FakeBlobExchange(store, cloud);
  const other = new FakeBlobExchange(otherStore, cloud);
  other.useToken(token);
  const clock = new ManualClock();
  let onChange: () => void = () => {};
  const inUse = new Set<Digest>();
  const bus = fakeBus(silentLog);
  const cluster = bus.connect("cluster");
  const held = new HostContent({
    store,
    exchange,
    images: { ...noSource, ...source },
    host: "a1",
    clock,
    log: silentLog,
    messaging: bus.connect("host/a1"),
    inUse: () => [...inUse],
    onChange: () => onChange(),
  });
  const plan = (change: Partial<HostPlan> = {}): HostPlan => ({
    host: hostId("a1"),
    epoch: 1,
    revision: 1,
    appliances: [],
    segments: [],
    shapedPairs: [],
    tunnels: [],
    blobs: { token, peers: [{ host: hostId("a2"), address, port: other.port }] },
    ...change,
  });
  /** Resolves once it holds, looked at whenever something changes. */
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      onChange = () => {
        if (holds()) resolve();
      };
      onChange();
    });
  const collect = async (): Promise<number> => {
    // It hears of the host one turn after that has come.
    while (!cluster.isPresent("host/a1")) await Promise.resolve();
    const result = await cluster.request("host/a1", topics.collect, {}, never);
    return (result as CollectResult).removed;
  };
  return { store, otherStore, held, plan, until, clock, inUse, collect };
}

describe("HostContent", () => {
  it("fetches what a machine is made from, and says what it lacks until it is there", async () => {
    const { otherStore, held, plan, until, store } = desk();
    otherStore.contents.set(blob.digest, content);
    assert.match(held.lacks(machine) ?? "", /waits for its image debian, 0B of 6B/);
    held.follow(plan({ appliances: [machine] }), never);
    await until(() => held.lacks(machine) === undefined);
    assert.ok(store.has(blob.digest));
    assert.deepEqual(held.report().blobs, [blob.digest]);
    await until(() => held.report().transfers === undefined);
  });

  it("tells all images that it lacks something of, and how much it has of them together", async () => {
    const { store, held, plan } = desk();
    const more = { digest: `sha256:${"1".repeat(64)}` as const, sizeBytes: bytes(10) };
    const boot = { kind: "kernel", kernel: blob, initrd: more } as unknown as Image["boot"];
    const tiny: Image = { ...image, name: "tiny", boot } as Image;
    const tools: Image = { ...image, name: "tools", disk: { ...more, ...facts } };
    const both = planned("vm", { kind: "vm", vm: { base: tiny, software: [tools] } as unknown as VmPlan });
    held.follow(plan(), never);
    assert.equal(held.lacks(both), "waits for its images tiny, tools, 0B of 16B");
    store.contents.set(blob.digest, content);
    assert.equal(held.lacks(both), "waits for its images tiny, tools, 6B of 16B");
    store.contents.set(more.digest, content);
    assert.equal(held.lacks(both), undefined);
  });

  it("tells why it has not got it, and tries again after a pause", async () => {
    const { otherStore, held, plan, until, clock } = desk();
    held.follow(plan({ images: [image] }), never);
    await until(() => /no host is known/.test(held.lacks(machine) ?? ""));
    assert.deepEqual(held.report().transfers, [{ digest: blob.digest, doneBytes: 0, totalBytes: 6 }]);
    otherStore.contents.set(blob.digest, content);
    clock.advance(limits.blobFetchRetryMs);
    await until(() => held.lacks(machine) === undefined);
  });

  it("seeks no longer what its plan no longer names", async () => {
    const { held, plan, until } = desk();
    held.follow(plan({ images: [image] }), never);
    await until(() => held.report().transfers !== undefined);
    held.follow(plan(), never);
    await until(() => held.report().transfers === undefined);
  });

  it("seeks again what was called off and is wanted again before that had an effect", async () => {
    const { otherStore, held, plan, until } = desk();
    held.follow(plan({ images: [image] }), never);
    await until(() => /no host is known/.test(held.lacks(machine) ?? ""));
    otherStore.contents.set(blob.digest, content);
    held.follow(plan(), never);
    held.follow(plan({ images: [image] }), never);
    await until(() => held.lacks(machine) === undefined);
  });

  it("gets a disk from where it came from when no host has it", async () => {
    const asked: unknown[] = [];
    const { held, plan, until, store } = desk({
      bring: async (wanted) => {
        asked.push(wanted);
        store.contents.set(blob.digest, content);
        return blob;
      },
    });
    held.follow(plan({ images: [{ ...image, origin: "https://host/disk.raw" }] }), never);
    await until(() => held.lacks(machine) === undefined);
    const sha256 = blob.digest.slice("sha256:".length);
    assert.deepEqual(asked, [{ url: "https://host/disk.raw", sha256 }]);
  });

  it("keeps what machines here are made of, though no plan names it", async () => {
    const { held, plan, store, clock, inUse, collect } = desk();
    store.contents.set(blob.digest, content);
    held.answer(never);
    held.follow(plan(), never);
    inUse.add(blob.digest);
    assert.equal(await collect(), 0);
    clock.advance(limits.blobGraceMs);
    assert.equal(await collect(), 0);
    inUse.clear();
    assert.equal(await collect(), 0);
    clock.advance(limits.blobGraceMs);
    assert.equal(await collect(), 1);
  });

  it("brings in what it is to import, and tells what it is, or why it cannot be", async () => {
    const { held, plan, until, store } = desk({
      bring: async ({ url }) => {
        if (url.endsWith("bad")) throw new Error("it is VMDK");
        store.contents.set(blob.digest, content);
        return blob;
      },
    });
    const spec = (url: string) => ({
      name: "debian",
      role: "base" as const,
      architecture: "amd64",
      features: [],
      disk: { kind: "url" as const, url },
      boot: { kind: "disk" as const, firmware: "bios" as const },
    });
    const imports = [
      { id: "good-1", image: spec("https://host/good") },
      { id: "bad-1", image: spec("https://host/bad") },
    ];
    held.follow(plan({ imports }), never);
    const stateOf = (id: string) => held.report().imports?.find((one) => one.id === id);
    await until(() => stateOf("good-1")?.state === "done" && stateOf("bad-1")?.state === "failed");
    assert.deepEqual(stateOf("good-1")?.content, { disk: { ...blob, ...facts }, boot: image.boot });
    assert.equal(stateOf("bad-1")?.message, "it is VMDK");
    held.follow(plan(), never);
    assert.equal(held.report().imports, undefined);
  });
});

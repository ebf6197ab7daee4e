import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { bytes } from "#base/units.ts";
import { contentPlans, keepersOf, recordNamed } from "#cluster/content-plans.ts";
import type { ContentCloud } from "#cluster/content-plans.ts";
import { lookUpImage, nextOfImage, usersOf } from "#cluster/images.ts";
import type { ImageRecord, ImageWorld } from "#cluster/images.ts";
import type { EnsembleRecord, HostRecord } from "#cluster/records.ts";
import { sampleHosts } from "#cluster/sample.ts";
import type { Digest, Image } from "#model/image.ts";
import type { ImportReport } from "#protocol/host-report.ts";

const [a1, a2] = [hostId("a1"), hostId("a2")];
const digestOf = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const disk = (letter: string): NonNullable<Image["disk"]> => ({
  digest: digestOf(letter),
  sizeBytes: bytes(512),
  format: "raw",
  virtualBytes: bytes(512),
});

const record = (name: string, change: Partial<ImageRecord> = {}): ImageRecord => ({
  id: `${name}-1`,
  spec: {
    name,
    role: "base",
    architecture: "amd64",
    features: [],
    disk: { kind: "url", url: `https://images/${name}` },
    boot: { kind: "disk", firmware: "bios" },
    origin: `https://images/${name}`,
  },
  state: "importing",
  registeredAtMs: 0,
  ...change,
});

const ready = (name: string, letter: string, host: HostId = a1): ImageRecord => {
  const { spec } = record(name);
  const image: Image = {
    name,
    role: "base",
    architecture: "amd64",
    features: [],
    registeredAtMs: 0,
    disk: disk(letter),
    ...(spec.origin === undefined ? {} : { origin: spec.origin }),
  };
  return record(name, { state: "ready", host, image });
};

const world = (change: Partial<ImageWorld> = {}): ImageWorld => ({
  nowMs: 1000,
  hosts: [a1, a2],
  isLost: () => false,
  report: () => undefined,
  ...change,
});

const told = (change: Partial<ImportReport>) => (): ImportReport => ({
  id: "debian-1",
  state: "transferring",
  doneBytes: 1,
  ...change,
});

describe("nextOfImage()", () => {
  it("gives a registered image to the best host, and to another when that is lost", () => {
    const given = nextOfImage(record("debian"), world());
    assert.equal(given?.host, a1);
    assert.equal(nextOfImage(given, world()), undefined);
    const lost = world({ hosts: [a2], isLost: (host) => host === a1 });
    assert.equal(nextOfImage(given, lost)?.host, a2);
  });

  it("tells once that no host is there", () => {
    const waiting = nextOfImage(record("debian"), world({ hosts: [] }));
    assert.match(waiting?.message ?? "", /no host/);
    assert.equal(nextOfImage(waiting!, world({ hosts: [] })), undefined);
    assert.equal(nextOfImage(waiting!, world())?.message, undefined);
  });

  it("makes an image ready with what its host brought, and fails it with its host's reason", () => {
    const given = record("debian", { host: a1 });
    assert.equal(nextOfImage(given, world({ report: told({}) })), undefined);
    const done = nextOfImage(given, world({ report: told({ state: "done", content: { disk: disk("a") } }) }));
    assert.equal(done?.state, "ready");
    assert.deepEqual(done?.image?.disk, disk("a"));
    assert.equal(done?.image?.registeredAtMs, 1000);
    const failed = nextOfImage(given, world({ report: told({ state: "failed", message: "it is VMDK" }) }));
    assert.deepEqual([failed?.state, failed?.message], ["failed", "it is VMDK"]);
    assert.equal(nextOfImage(done, world({ isLost: () => true })), undefined);
  });

  it("leaves what had the name before in its place until the new one is ready, also when that fails", () => {
    const { image: before } = ready("debian", "a");
    const again = record("debian", { host: a1, image: before! });
    const failed = nextOfImage(again, world({ report: told({ state: "failed" }) }));
    assert.deepEqual(failed?.image, before);
    const content = { disk: disk("b") };
    assert.deepEqual(
      nextOfImage(again, world({ report: told({ state: "done", content }) }))?.image?.disk,
      content.disk,
    );
  });
});

const hostsWith = (names: readonly string[]): Map<HostId, HostRecord> => {
  const [sample] = [...sampleHosts().values()];
  return new Map(
    names.map((name) => [hostId(name), { ...sample!, id: hostId(name), role: "host", blobPort: 7420 }]),
  );
};

const cloud = (change: Partial<ContentCloud> = {}): ContentCloud => ({
  images: new Map(),
  ensembles: [],
  hosts: hostsWith(["a1", "a2", "a3", "a4"]),
  standing: () => ({ fenced: false, scheduling: "open" }),
  token: "secret",
  ...change,
});

const byName = (...records: ImageRecord[]): Map<string, ImageRecord> =>
  new Map(records.map((one) => [one.spec.name, one]));

const ensemble = (name: string, image: Image, hosts: readonly HostId[]): EnsembleRecord =>
  ({
    ensemble: { name },
    state: "present",
    images: { [image.name]: image },
    placements: Object.fromEntries(hosts.map((host, index) => [`${name}/vm-${index}`, host])),
  }) as unknown as EnsembleRecord;

describe("contentPlans()", () => {
  it("says nothing to anybody while there is no content", () => {
    assert.equal(contentPlans(cloud()).size, 0);
  });

  it("has every image kept by as many hosts as it should, and its import on its host alone", () => {
    const images = byName(ready("debian", "a"), ready("tools", "b", a2), record("new", { host: a1 }));
    const plans = contentPlans(cloud({ images }));
    const keepers = [...plans].filter(([, plan]) => plan.images?.some(({ name }) => name === "debian"));
    assert.equal(keepers.length, limits.imageCopies);
    assert.ok(keepers.some(([host]) => host === a1));
    const importing = [...plans].filter(([, { imports = [] }]) => imports.length > 0);
    assert.deepEqual(
      importing.map(([host, { imports }]) => [host, imports?.map(({ id }) => id)]),
      [[a1, ["new-1"]]],
    );
    assert.ok([...plans.values()].every(({ blobs }) => blobs.token === "secret"));
  });

  it("tells a host with a machine of those that keep its image", () => {
    const image = ready("debian", "a");
    const a3 = hostId("a3");
    const plans = contentPlans(
      cloud({ images: byName(image), ensembles: [ensemble("shop", image.image!, [a3])] }),
    );
    const peers = plans.get(a3)?.blobs.peers.map(({ host }) => host) ?? [];
    const all = [...hostsWith(["a1", "a2", "a3", "a4"]).values()];
    for (const keeper of keepersOf(image, all, hostsWith(["a1"]))) {
      if (keeper !== a3) assert.ok(peers.includes(keeper), `${keeper} is not among ${peers.join(", ")}`);
    }
    assert.ok(!peers.includes(a3));
  });

  it("has no image kept by a host that is fenced or being emptied, unless it was brought there", () => {
    const standing: ContentCloud["standing"] = (host) =>
      host === a1 || host === a2
        ? { fenced: host === a1, scheduling: host === a2 ? "draining" : "open" }
        : { fenced: false, scheduling: "open" };
    const images = byName(...["p", "q", "r", "s"].map((name) => ready(name, "a", hostId("a3"))));
    const plans = contentPlans(cloud({ images, standing }));
    assert.equal(plans.get(a1)?.images, undefined);
    assert.equal(plans.get(a2)?.images, undefined);
  });

  it("names few peers, never the host itself, and gives equal plans to equal clouds in any order", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(500), { minLength: 1, maxLength: 60 }), fc.nat(), (numbers, seed) => {
        const names = numbers.map((number) => `h${number}`);
        const images = byName(ready("debian", "a", hostId(names[seed % names.length] ?? "")));
        const plans = contentPlans(cloud({ images, hosts: hostsWith(names) }));
        const turned = contentPlans(cloud({ images, hosts: hostsWith([...names].reverse()) }));
        for (const [host, plan] of plans) {
          assert.ok(plan.blobs.peers.length <= limits.blobPeersMax);
          assert.ok(plan.blobs.peers.every((peer) => peer.host !== host));
          assert.deepEqual(turned.get(host), plan);
        }
        const kept = [...plans.values()].filter(({ images: mine }) => mine !== undefined).length;
        assert.equal(kept, Math.min(limits.imageCopies, names.length));
      }),
    );
  });

  it("moves few images when a host comes", () => {
    const names = Array.from({ length: 20 }, (_, index) => `h${index}`);
    const images = byName(
      ...Array.from({ length: 100 }, (_, index) => ready(`image${index}`, "a", hostId(names[index % 20]!))),
    );
    const keptBy = (hosts: readonly string[]): Set<string> =>
      new Set(
        [...contentPlans(cloud({ images, hosts: hostsWith(hosts) }))].flatMap(([host, plan]) =>
          (plan.images ?? []).map(({ name }) => `${host} ${name}`),
        ),
      );
    const moved = keptBy([...names, "h99"]).difference(keptBy(names)).size;
    assert.ok(moved < 60, `${moved} of 200 copies moved`);
  });
});

describe("the catalogue", () => {
  it("is looked up by name, and by the address an image came from", () => {
    const images = byName(ready("debian", "a"), record("new"));
    assert.equal(lookUpImage(images, "debian")?.name, "debian");
    assert.equal(lookUpImage(images, "https://images/debian")?.name, "debian");
    assert.equal(lookUpImage(images, "new"), undefined);
    assert.equal(recordNamed(images, "nothing"), undefined);
  });

  it("knows whose machines are made from an image, whatever its name was then", () => {
    const image = ready("debian", "a");
    const renamed = { ...image.image!, name: "old-name" };
    const users = usersOf(image, [
      ensemble("shop", renamed, [a1]),
      ensemble("other", ready("x", "b").image!, [a1]),
    ]);
    assert.deepEqual(users, ["shop"]);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { bytes, mebibytes, millis } from "#base/units.ts";
import { planResult } from "#cluster/admission.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { imageRefusals, imagesNamed } from "#cluster/image-names.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";
import { sampleImage, sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { VmSpec } from "#model/vm.ts";

const catalogue = new Map(
  [
    sampleImage("tiny"),
    sampleImage("debian"),
    sampleImage("postgres", { role: "software" }),
    sampleImage("rootfs", { role: "root" }),
    sampleImage("arm", { architecture: "arm64" }),
    sampleImage("fonts", { role: "software", architecture: "all" }),
  ].map((image) => [image.name, image]),
);
const lookup = (name: string) => catalogue.get(name);

const db = (vm: Partial<VmSpec> = {}, fields: Partial<ApplianceSpec> = {}): Ensemble =>
  sampleEnsemble("shop", { appliances: [sampleVm("db", vm, fields), sampleAppliance("web")] });

const recordOf = (ensemble: Ensemble) => ({
  ...sampleRecord(ensemble, {}),
  images: imagesNamed(ensemble, lookup),
});

const plansOf = (ensemble: Ensemble, record = recordOf(ensemble)) =>
  hostPlanBodies({
    ensembles: [record],
    hosts: sampleHosts(),
    tunnels: new Map(),
    topology: sampleTopology(),
  }).get(hostId("a1"))?.appliances ?? [];

const planOf = (ensemble: Ensemble) => plansOf(ensemble)[0];

describe("plans of virtual machines", () => {
  it("carry the images their names stood for, and what it is called inside", () => {
    const plan = planOf(db({ software: ["postgres"] }, { image: "debian" }));
    assert.equal(plan?.kind, "vm");
    assert.deepEqual(
      [plan?.vm?.base.name, plan?.vm?.software.map(({ name }) => name), plan?.vm?.hostname],
      ["debian", ["postgres"], "db"],
    );
    assert.equal(plan?.image, undefined);
    assert.equal(plan?.interfaces.length, 1);
  });

  it("stand beside those of tasks, whose generation knows nothing of images", () => {
    const [, web] = plansOf(db());
    const [alone] = plansOf(sampleEnsemble("shop", { appliances: [sampleAppliance("web")] }));
    assert.equal(web?.vm, undefined);
    const { interfaces: _a, generation: _b, ...rest } = web!;
    const { interfaces: _c, generation: _d, ...other } = alone!;
    assert.deepEqual(rest, other);
  });

  it("wait while an image is not known", () => {
    const ensemble = db();
    const plans = plansOf(ensemble, { ...recordOf(ensemble), images: {} });
    assert.deepEqual(
      plans.map(({ id }) => id),
      ["shop/web"],
    );
  });

  const generation = (vm: Partial<VmSpec>, fields: Partial<ApplianceSpec> = {}) =>
    planOf(db(vm, fields))?.generation;

  it("are the same generation for what changes while it runs", () => {
    const base = generation({ vcpusMax: 4 });
    const policy = { everyMs: millis(30_000), copies: 1, keep: 2 };
    assert.equal(generation({ vcpusMax: 4, vcpus: 3 }), base);
    assert.equal(generation({ vcpusMax: 4, disk: { readsPerSecond: 10 } }), base);
    assert.equal(generation({ vcpusMax: 4, checkpoint: policy, start: "cold" }), base);
    assert.equal(generation({ vcpusMax: 4 }, { memoryBytes: mebibytes(64) }), base);
  });

  it("are another generation for what only a new start can bring in", () => {
    const others = [
      generation({}),
      generation({ vcpusMax: 2 }),
      generation({ memoryBytesMax: mebibytes(256) }),
      generation({ machine: "q35" }),
      generation({ accel: "tcg" }),
      generation({ software: ["postgres"] }),
      generation({ homeBytes: bytes(1e9) }),
      generation({ swapBytes: bytes(1e9) }),
      generation({ sshKeys: ["ssh-ed25519 AAAA"] }),
      generation({}, { files: [{ path: "/a", content: "b", mode: 0o644 }] }),
    ];
    assert.equal(new Set(others).size, others.length);
  });

  it("are another generation for an image's other content, not for when it was registered", () => {
    const ensemble = db();
    const record = recordOf(ensemble);
    const with_ = (tiny: ReturnType<typeof sampleImage>) =>
      plansOf(ensemble, { ...record, images: { tiny } })[0]?.generation;
    const base = with_(sampleImage("tiny"));
    assert.equal(with_(sampleImage("tiny", { registeredAtMs: 99, origin: "https://example.org" })), base);
    assert.notEqual(with_({ ...sampleImage("tiny"), disk: sampleImage("debian").disk! }), base);
  });
});

describe("imagesNamed()", () => {
  it("finds each once, whoever names it", () => {
    const ensemble = db({ software: ["postgres"] }, { replicas: 3 });
    assert.deepEqual(Object.keys(imagesNamed(ensemble, lookup)), ["tiny", "postgres"]);
  });

  it("says whose image is missing, or is of another kind than wanted", () => {
    const refusals = imageRefusals(db({ software: ["rootfs", "mysql"] }, { image: "postgres" }), lookup);
    assert.deepEqual(
      refusals.map(({ message }) => message),
      [
        'Cannot make shop/db: "postgres" is an image for /opt, one for a machine to boot from was wanted',
        'Cannot make shop/db: "rootfs" is an image for tasks, one for /opt was wanted',
        'Cannot make shop/db: no image "mysql" is in the catalogue',
      ],
    );
    assert.throws(() => imagesNamed(db({ software: ["mysql"] }), lookup), {
      code: "unsatisfiable",
      message: /no image "mysql" is in the catalogue; Build it \(consort image build\)/,
    });
  });
});

describe("imageRefusals()", () => {
  it("refuses what would not run on the processors that machines have", () => {
    const [refusal, ...others] = imageRefusals(db({ software: ["fonts"] }, { image: "arm" }), lookup);
    assert.equal(
      refusal?.message,
      'Cannot make shop/db: "arm" is an image for arm64 processors, one for amd64 was wanted',
    );
    assert.deepEqual(others, []);
  });
});

describe("what plan tells of virtual machines", () => {
  const told = (ensemble: Ensemble, image = lookup) => {
    const before = recordOf(db());
    const placements = new Map(Object.entries(before.placements) as [never, never][]);
    const mapping = { placements, paths: [], violations: [], score: 1, cost: {} as never };
    return planResult({ ensemble, before, mapping, image });
  };

  it("is a restart where a name stands for another content now", () => {
    assert.deepEqual(told(db()).changes, []);
    const anew = { ...sampleImage("tiny"), disk: sampleImage("debian").disk! };
    assert.deepEqual(told(db(), (name) => (name === "tiny" ? anew : undefined)).changes, [
      { action: "restart", subject: "shop/db", detail: "on a1: image" },
    ]);
  });

  it("is a resize for what changes while it runs, else a restart", () => {
    const actions = (ensemble: Ensemble) =>
      told(ensemble).changes.map(({ action, detail }) => [action, detail]);
    assert.deepEqual(actions(db({ disk: { readsPerSecond: 1 } })), [["resize", "on a1: vm"]]);
    assert.deepEqual(actions(db({}, { memoryBytes: mebibytes(64) })), [["resize", "on a1: memory"]]);
    assert.deepEqual(actions(db({ machine: "q35" })), [["restart", "on a1: vm"]]);
  });

  it("is a refusal where an image is missing", () => {
    const result = told(db({}, { image: "windows" }));
    assert.equal(result.satisfiable, false);
    assert.match(result.refusals[0]?.message ?? "", /no image "windows" is in the catalogue/);
  });
});

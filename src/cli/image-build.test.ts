import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bytes } from "#base/units.ts";
import { consort, json, testApi } from "#cli/cli.fixture.ts";
import type { Outcome } from "#cli/cli.fixture.ts";
import type { DebianGuestSpec, GuestBuilder, SoftwareSpec } from "#drivers/guest/port.ts";
import type { Digest } from "#model/image.ts";

const content = "a whole system";
const digest: Digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
const blob = { digest, sizeBytes: bytes(content.length) };

type Run = Outcome & {
  readonly debian: readonly DebianGuestSpec[];
  readonly software: readonly SoftwareSpec[];
  readonly asked: readonly { readonly method: string; readonly url: string; readonly body: unknown }[];
};

/** Against a cloud that has none of the content yet, with a builder that needs no time. */
async function build(...args: readonly string[]): Promise<Run> {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-build-"));
  writeFileSync(join(directory, "disk"), content);
  const debian: DebianGuestSpec[] = [];
  const software: SoftwareSpec[] = [];
  const files = new Map([[digest, join(directory, "disk")]]);
  const image = { architecture: "amd64", registeredAtMs: 0 } as const;
  const disk = { ...blob, format: "raw", virtualBytes: bytes(512) } as const;
  const kernel = { kind: "kernel", kernel: blob, commandLine: "quiet" } as const;
  const builder: GuestBuilder = {
    tiny: async (onProgress) => {
      onProgress("unpacking packages");
      return { image: { ...image, name: "tiny", role: "base", features: ["agent"], boot: kernel }, files };
    },
    debian: async (spec) => {
      debian.push(spec);
      return { image: { ...image, name: spec.name, role: "base", features: [], disk, boot: kernel }, files };
    },
    software: async (spec) => {
      software.push(spec);
      return { image: { ...image, name: spec.name, role: "software", features: [], disk }, files };
    },
  };
  const name = args[1] ?? args[0] ?? "";
  let arrived = 0;
  await using api = await testApi({
    [`PUT /v1/uploads/${encodeURIComponent(digest)}`]: ({ body }, response) => {
      const { dataBase64 } = body as { dataBase64: string };
      arrived += Buffer.from(dataBase64, "base64").length;
      json({ haveBytes: arrived, complete: arrived === content.length })(undefined as never, response);
    },
    [`PUT /v1/images/${name}`]: json({ name, state: "ready", sizeBytes: content.length }),
  });
  const none = (): Promise<never> => Promise.reject(new Error("not in this test"));
  try {
    const outcome = await consort(["image", "build", ...args], {
      url: api.url,
      tools: { doctor: none, labMachine: none, programRunner: none, guestBuilder: async () => builder },
    });
    return { ...outcome, debian, software, asked: api.asked };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("what was built is uploaded once and registered, with progress", async () => {
  const { exit, out, err, asked } = await build("tiny");
  assert.equal(exit, 0, err);
  assert.match(err, /tiny: unpacking packages/);
  assert.match(out, /^tiny is built and registered: 14 ?B/);
  const registered = asked.find(({ url }) => url === "/v1/images/tiny")?.body;
  assert.deepEqual(registered, {
    name: "tiny",
    role: "base",
    architecture: "amd64",
    features: ["agent"],
    boot: { kind: "kernel", kernel: blob, commandLine: "quiet" },
  });
});

test("a Debian guest has the packages, release and disk asked for, under a name of its own", async () => {
  const { exit, err, debian } = await build("debian", "lamp", "--packages", "apache2,php", "--disk", "4GiB");
  assert.equal(exit, 0, err);
  assert.deepEqual(debian, [
    { name: "lamp", suite: "bookworm", packages: ["apache2", "php"], diskBytes: 4 * 2 ** 30 },
  ]);
});

test("software is a directory, packages, or both", async () => {
  const { exit, err, software } = await build("software", "tools", "--directory", "/srv/tools");
  assert.equal(exit, 0, err);
  assert.deepEqual(software, [{ name: "tools", packages: [], directory: "/srv/tools" }]);
});

test("what cannot be built is refused before anything is", async () => {
  const unknown = await build("debain");
  assert.equal(unknown.exit, 2);
  assert.match(unknown.err, /Cannot build "debain".*debian/s);
  const small = await build("debian", "debian", "--disk", "1MiB");
  assert.equal(small.exit, 2);
  assert.match(small.err, /512MiB at least/);
  assert.deepEqual(small.debian, []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import {
  imageSpecDocument,
  imageSpecOf,
  imageSpecSchema,
  readImageManifest,
} from "#formats/image-manifest.ts";

const read = (described: unknown) =>
  readImageManifest(JSON.stringify(described), (file) => `sftp://store/images/${file}`);

test("a description names files beside it, which become addresses", () => {
  const image = read({
    name: "tiny",
    features: ["agent"],
    boot: { kind: "kernel", kernel: { url: "vmlinuz" }, initrd: { url: "https://other/initrd" } },
  });
  assert.deepEqual(image.boot, {
    kind: "kernel",
    kernel: { kind: "url", url: "sftp://store/images/vmlinuz" },
    initrd: { kind: "url", url: "https://other/initrd" },
    commandLine: "",
  });
  assert.equal(image.architecture, "amd64");
});

test("a description can name no path, and nothing that could be no image", () => {
  for (const described of [
    { name: "x", disk: { url: "../../etc/passwd" }, boot: { kind: "disk" } },
    { name: "x", disk: { url: ".." }, boot: { kind: "disk" } },
    { name: "x", disk: { url: "a/b" }, boot: { kind: "disk" } },
    ...["../x", "/x", "x/../y", "x\0", "x\n", "x\u001b[2J", "ｘ", "x\u202e", "x..y", "x".repeat(64)].map(
      (name) => ({
        name,
        disk: { url: "a" },
        boot: { kind: "disk" },
      }),
    ),
    { name: "x" },
    { name: "x", disk: { url: "a" } },
    { name: "x", role: "software", boot: { kind: "disk" }, disk: { url: "a" } },
    { name: "x", boot: { kind: "kernel", kernel: { url: "k" }, commandLine: "a\nb" } },
    { name: "x", disk: { url: "a", sha256: "short" }, boot: { kind: "disk" } },
    { name: "x", disk: { url: "a" }, boot: { kind: "disk" }, unknown: 1 },
  ]) {
    assert.throws(
      () => read(described),
      (error) => codeOf(error) === "bad_input",
      JSON.stringify(described),
    );
  }
});

test("what is described is described again as it was", () => {
  const image = imageSpecOf(
    imageSpecSchema.parse({
      name: "debian",
      disk: { url: "https://host/x.qcow2", sha256: "a".repeat(64), credentials: "store" },
      boot: { kind: "disk", firmware: "uefi" },
      origin: "https://host/x.qcow2",
    }),
  );
  assert.deepEqual(imageSpecOf(imageSpecDocument(image)), image);
});

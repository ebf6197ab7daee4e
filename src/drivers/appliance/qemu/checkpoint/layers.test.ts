import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { bytes, millis } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import { restoredLayers } from "./layers.ts";

const { signal } = new AbortController();

/** The header of an empty qcow2 disk of 1 GiB, version 3. */
function header(): Buffer {
  const bytesOf = Buffer.alloc(65_536);
  bytesOf.writeUInt32BE(0x51_46_49_fb, 0);
  bytesOf.writeUInt32BE(3, 4);
  bytesOf.writeBigUInt64BE(2n ** 30n, 24);
  bytesOf.writeUInt32BE(104, 100);
  return bytesOf;
}

function naming(change: (bytesOf: Buffer) => void): Buffer {
  const bytesOf = header();
  change(bytesOf);
  return bytesOf;
}

describe("restoredLayers()", () => {
  let file: string;
  beforeEach(() => (file = join(mkdtempSync(join(tmpdir(), "consort-layers-")), "layer")));
  afterEach(() => rmSync(join(file, ".."), { recursive: true }));

  function layersOf(content: Buffer): ReturnType<typeof restoredLayers> {
    writeFileSync(file, content);
    const part = {
      digest: `sha256:${"1".repeat(64)}`,
      sizeBytes: bytes(content.length),
      compression: "none",
      contentBytes: bytes(content.length),
    } as const;
    const checkpoint: Checkpoint = {
      id: "one",
      appliance: "shop/db" as ApplianceId,
      generation: "1",
      takenAtMs: millis(0),
      disks: [{ disk: "root", content: part }],
      memory: part,
      machine: "",
      pauseMs: millis(0),
    };
    return restoredLayers([checkpoint], { path: () => file } as unknown as BlobStore, signal);
  }

  it("takes what QEMU wrote", async () => {
    const layers = await layersOf(header());
    assert.equal(layers.get("root")?.length, 1);
  });

  it("refuses a layer that would have a program of the host open another file", async () => {
    const hostile = {
      "a backing file": naming((bytesOf) => bytesOf.writeBigUInt64BE(2000n, 8)),
      "a data file": naming((bytesOf) => bytesOf.writeBigUInt64BE(4n, 72)),
      "no disk at all": Buffer.from("/etc/shadow".padEnd(512)),
    };
    for (const [what, content] of Object.entries(hostile))
      await assert.rejects(layersOf(content), { code: "bad_input" }, what);
  });
});

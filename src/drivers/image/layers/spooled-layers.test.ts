import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { bytes, mebibytes } from "#base/units.ts";
import type { DiskLayers, LayerStage } from "./port.ts";
import { spooledLayers } from "./spooled-layers.ts";

const { signal } = new AbortController();
const silent = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
const vm = {
  base: {
    name: "debian",
    role: "base",
    architecture: "amd64",
    features: [],
    registeredAtMs: 0,
    disk: {
      digest: `sha256:${"0".repeat(64)}`,
      sizeBytes: bytes(1),
      format: "raw",
      virtualBytes: bytes(4096),
    },
  },
  homeBytes: mebibytes(1),
} as const;
let root = "";
let made: string[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "consort-test-layers-"));
  made = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Layers whose content is their number. */
async function opened(seed = 1, make?: () => Promise<void>): Promise<DiskLayers> {
  const layers = spooledLayers({
    directory: join(root, "spool"),
    async make({ kind }, file) {
      await writeFile(file, `${kind} ${made.push(kind)}`);
      await make?.();
    },
    clock: new ManualClock(),
    random: seededRandom(seed),
    log: silent,
  });
  await layers.recover(signal);
  return layers;
}

async function machine(layers: DiskLayers, name: string): Promise<readonly LayerStage["from"][]> {
  const stages: LayerStage[] = [];
  await mkdir(join(root, name), { recursive: true });
  await layers.create(vm, join(root, name), (stage) => stages.push(stage), signal);
  return stages.map(({ from }) => from);
}

test("the first machine's layers are made, the next one's are ready", async () => {
  await using closing = new AsyncDisposableStack();
  const layers = closing.adopt(await opened(), (each) => each.close());
  assert.deepEqual(await machine(layers, "a"), ["made", "made"]);
  await layers.settled(signal);
  assert.deepEqual(await machine(layers, "b"), ["spool", "spool"]);
  assert.deepEqual(readdirSync(join(root, "b")), ["home.qcow2", "root.qcow2"]);
  const read = (name: string): string => readFileSync(join(root, name, "home.qcow2"), "utf8");
  assert.notEqual(read("a"), read("b"));
});

test("created again, a machine keeps what it has written", async () => {
  await using closing = new AsyncDisposableStack();
  const layers = closing.adopt(await opened(), (each) => each.close());
  await machine(layers, "a");
  writeFileSync(join(root, "a/home.qcow2"), "its own");
  assert.deepEqual(await machine(layers, "a"), ["there", "there"]);
  assert.equal(readFileSync(join(root, "a/home.qcow2"), "utf8"), "its own");
});

test("many machines at once never get the same layer", async () => {
  await using closing = new AsyncDisposableStack();
  const layers = closing.adopt(await opened(), (each) => each.close());
  layers.expect(vm);
  await layers.settled(signal);
  const names = ["a", "b", "c", "d", "e", "f"];
  await Promise.all(names.map((name) => machine(layers, name)));
  const contents = names.map((name) => readFileSync(join(root, name, "root.qcow2"), "utf8"));
  assert.equal(new Set(contents).size, names.length);
});

test("what was half made when its maker died is cleared away, what was ready is used", async () => {
  const before = await opened();
  before.expect(vm);
  await before.settled(signal);
  await before.close();
  writeFileSync(join(root, "spool/making/home-1048576-aa.qcow2"), "half");
  writeFileSync(join(root, "spool/ready/strange"), "not ours");
  await using closing = new AsyncDisposableStack();
  const layers = closing.adopt(await opened(2), (each) => each.close());
  assert.deepEqual(await machine(layers, "a"), ["spool", "spool"]);
  await layers.settled(signal);
  assert.ok(!readdirSync(join(root, "spool/ready")).includes("strange"));
  assert.deepEqual(readdirSync(join(root, "spool/making")), []);
});

test("a layer that could not be made is told, and leaves nothing", async () => {
  await using closing = new AsyncDisposableStack();
  const failing = await opened(1, () => Promise.reject(new Error("no space")));
  const layers = closing.adopt(failing, (each) => each.close());
  await assert.rejects(machine(layers, "a"), /no space/);
  await layers.settled(signal);
  assert.deepEqual(readdirSync(join(root, "a")), []);
  assert.deepEqual(readdirSync(join(root, "spool/making")), []);
});

test("a machine's layers are taken away at once and removed afterwards", async () => {
  await using closing = new AsyncDisposableStack();
  const layers = closing.adopt(await opened(), (each) => each.close());
  await machine(layers, "a");
  await layers.remove(join(root, "a"), signal);
  assert.deepEqual(readdirSync(join(root, "a")), []);
  await layers.settled(signal);
  assert.deepEqual(readdirSync(join(root, "spool/trash")), []);
});

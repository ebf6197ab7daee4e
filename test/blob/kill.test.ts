import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ipv4Address } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { refTo, inChunks } from "#drivers/blob/conformance.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import { blobLimits } from "#drivers/blob/limits.ts";
import { silentLog } from "#drivers/system/log.ts";

const signal = new AbortController().signal;
const program = join(import.meta.dirname, "host.child.ts");
const seed = Math.floor(Math.random() * 2 ** 31);

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "consort-killed-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function openStore(directory: string): Promise<DiskBlobStore> {
  const store = new DiskBlobStore({ directory, log: silentLog, reserveBytes: 0 });
  await store.recover(signal);
  return store;
}

/** Runs it until it tells that number, or to its end. Resolves with the first and the last it told, and how it ended. */
async function run(
  args: readonly string[],
  until: number,
): Promise<{ first: number; last: number; killed: boolean }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  const told: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    told.push(Number(line));
    if (Number(line) >= until) child.kill("SIGKILL");
  }
  const [code, by] = (await ended) as [number | null, string | null];
  assert.ok(code === 0 || by === "SIGKILL", `seed ${seed}: the host ended with ${code}`);
  return { first: told[0] ?? 0, last: told.at(-1) ?? 0, killed: by === "SIGKILL" };
}

test("a host killed at any byte of a put has none of it, and all that it had before", async (t) => {
  const directory = directoryFor(t);
  const random = seededRandom(seed);
  const before = await (await openStore(directory)).put(inChunks(Buffer.from("before")), {}, signal);
  for (let round = 0; round < 4; round += 1) {
    const { killed } = await run([directory, "put", String(round), "200"], random.integer(199));
    const store = await openStore(directory);
    const others = store.list().filter(({ digest }) => digest !== before.digest);
    assert.ok(store.has(before.digest), `seed ${seed}`);
    assert.ok(!killed || others.length === 0, `seed ${seed}: half of it is there`);
    assert.deepEqual(readdirSync(join(directory, "incoming")), []);
  }
});

test("a fetch killed again and again goes on each time, and ends with the right content", async (t) => {
  const [here, there] = [directoryFor(t), directoryFor(t)];
  const random = seededRandom(seed);
  const content = Buffer.from(random.hex(4 * blobLimits.blobPieceBytes + 12_345), "hex");
  const blob = refTo(content);
  const source = await openStore(there);
  await source.put(inChunks(content, 65_536), {}, signal);
  const exchange = await openBlobExchange({
    store: source,
    address: ipv4Address("127.0.0.1"),
    log: silentLog,
  });
  t.after(() => exchange.close());
  exchange.useToken("secret");
  const args = [here, "fetch", String(exchange.port), blob.digest, String(blob.sizeBytes)];
  let reached = 0;
  for (let round = 1; ; round += 1) {
    const until = reached + 1 + random.integer(2 * blobLimits.blobPieceBytes);
    const { first, last, killed } = await run(args, until < blob.sizeBytes ? until : Infinity);
    // The piece under way, and one that was told but not yet recorded.
    const lost = reached - first;
    assert.ok(lost <= 2 * blobLimits.blobPieceBytes, `seed ${seed}: ${lost} bytes were fetched again`);
    if (!killed) break;
    const isWhole = last >= blob.sizeBytes;
    const store = await openStore(here);
    assert.ok(isWhole || !store.has(blob.digest), `seed ${seed}: it counts as there before it is`);
    if (store.has(blob.digest)) break;
    reached = last;
    assert.ok(round < 100, `seed ${seed}: it never ends`);
  }
  const store = await openStore(here);
  assert.deepEqual(store.list(), [blob], `seed ${seed}`);
  assert.deepEqual(readdirSync(store.pieces), []);
});

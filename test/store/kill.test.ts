import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openEmbeddedStore } from "#drivers/store/embedded.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { Store } from "#drivers/store/port.ts";

const never = new AbortController().signal;
const lanes = 2;
const killsPerLane = 100;
const lifeMsMax = 20;
const writer = new URL("store-writer.ts", import.meta.url).pathname;

const open = (path: string): Store =>
  openEmbeddedStore({ path, clock: systemClock(), random: systemRandom(), log: silentLog });

/** Starts a writer, kills it a few commits or part of one later, and returns the last number it acknowledged. */
async function writeUntilKilled(path: string, from: number): Promise<number> {
  const child = spawn(process.execPath, [writer, path, String(from)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  let acknowledged = from;
  let ready: () => void = () => {};
  const opened = new Promise<void>((resolve) => (ready = resolve));
  createInterface(child.stdout).on("line", (line) => {
    if (line === "open") ready();
    else acknowledged = Number(line);
  });
  await Promise.race([opened, closed]);
  assert.equal(child.exitCode, null, "the writer ended by itself");
  await pause(Math.random() * lifeMsMax);
  child.kill("SIGKILL");
  await closed;
  return acknowledged;
}

/** Checks that what is there is one whole commit, not older than the last acknowledged one; returns its number. */
async function checkWhole(path: string, acknowledged: number): Promise<number> {
  const store = open(path);
  try {
    const { entries, revision } = await store.list("", never);
    if (entries.length === 0) {
      assert.equal(acknowledged, 0, "acknowledged commits are gone");
      return 0;
    }
    const found = revision;
    assert.ok(found >= acknowledged, `commit ${acknowledged} was acknowledged, only ${found} is there`);
    const bodies = [found - 1, found]
      .filter((n) => n > 0)
      .map((n) => ({ key: `body/${n}`, value: String(n).repeat((n % 97) * 40), revision: n }));
    const whole = [
      ...bodies,
      { key: "first", value: found, revision: found },
      { key: "last", value: found, revision: found },
    ];
    const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);
    assert.deepEqual(entries, whole.sort(byKey));
    return found;
  } finally {
    await store.close();
  }
}

async function lane(path: string): Promise<{ found: number; unacknowledged: number }> {
  let found = 0;
  let unacknowledged = 0;
  for (let kill = 0; kill < killsPerLane; kill += 1) {
    const acknowledged = await writeUntilKilled(path, found);
    found = await checkWhole(path, acknowledged);
    if (found > acknowledged) unacknowledged += 1;
  }
  return { found, unacknowledged };
}

describe("the embedded store under kill -9", () => {
  it(`keeps every acknowledged commit whole over ${lanes * killsPerLane} kills of its writer`, async (test) => {
    const directory = mkdtempSync(join(tmpdir(), "consort-store-kill-"));
    try {
      const ends = await Promise.all(
        Array.from({ length: lanes }, (_, n) => lane(join(directory, `store-${n}.db`))),
      );
      for (const end of ends) {
        assert.ok(
          end.found > killsPerLane / 2,
          `only ${end.found} commits were made: the kills came too early`,
        );
        test.diagnostic(`${end.found} commits; ${end.unacknowledged} kills between commit and word of it`);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("refuses a second process while the first lives, and lets it in once that is killed", async () => {
    const directory = mkdtempSync(join(tmpdir(), "consort-store-lock-"));
    const path = join(directory, "store.db");
    const child = spawn(process.execPath, [writer, path, "0"], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data");
      assert.throws(() => open(path), { code: "conflict" });
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
    await open(path).close();
    rmSync(directory, { recursive: true });
  });
});

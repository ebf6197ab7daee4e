import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { storeConformance } from "#drivers/store/conformance.ts";
import { openEmbeddedStore } from "#drivers/store/embedded.ts";
import type { Store } from "#drivers/store/port.ts";
import { silentLog } from "#drivers/system/log.ts";

const never = new AbortController().signal;
const newDirectory = (): string => mkdtempSync(join(tmpdir(), "consort-store-"));
const openAt = (directory: string, clock: ManualClock): Store =>
  openEmbeddedStore({
    path: join(directory, "kept", "store.db"),
    clock,
    random: seededRandom(1),
    log: silentLog,
  });

let conformanceDirectory: string | undefined;
storeConformance("the embedded store", {
  open: async (clock) => openAt((conformanceDirectory = newDirectory()), clock),
  clear: async () => {
    if (conformanceDirectory !== undefined) rmSync(conformanceDirectory, { recursive: true });
    conformanceDirectory = undefined;
  },
});

describe("openEmbeddedStore()", () => {
  const clock = new ManualClock();
  let directory: string;
  beforeEach(() => {
    directory = newDirectory();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("finds everything again after it was closed, history and leases included", async () => {
    const first = openAt(directory, clock);
    const lease = await first.grantLease(millis(1000), never);
    await first.commit([{ put: "a", value: 1 }], [], never);
    await first.commit([{ put: "b", value: 2, lease }], [], never);
    await first.close();

    const second = openAt(directory, clock);
    assert.deepEqual((await second.list("", never)).entries, [
      { key: "a", value: 1, revision: 1 },
      { key: "b", value: 2, revision: 2 },
    ]);
    const watching = second.watch("", 1, never)[Symbol.asyncIterator]();
    assert.deepEqual((await watching.next()).value, [{ revision: 2, key: "b", value: 2 }]);
    clock.advance(millis(1001));
    assert.deepEqual((await watching.next()).value, [{ revision: 3, key: "b" }]);
    await second.close();
  });

  it("refuses a file that is open already, and takes it once that is closed", async () => {
    const first = openAt(directory, clock);
    assert.throws(() => openAt(directory, clock), { code: "conflict", message: /has it open/ });
    await first.close();
    await openAt(directory, clock).close();
  });

  it("makes the file for its owner's eyes only", async () => {
    const store = openAt(directory, clock);
    assert.equal(statSync(join(directory, "kept", "store.db")).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, "kept", "store.db-wal")).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, "kept")).mode & 0o777, 0o700);
    await store.close();
  });

  it("refuses a file that is no store, saying so", () => {
    const path = join(directory, "other");
    writeFileSync(path, "not a database, but long enough to have a header of one hundred bytes ".repeat(4));
    assert.throws(() => openEmbeddedStore({ path, clock, random: seededRandom(1), log: silentLog }), {
      code: "driver_failed",
      message: /Cannot open the store .*other/,
    });
  });
});

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { ObjectSweeper } from "#drivers/checkpoint/object-sweeper.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Digest } from "#model/image.ts";
import { s3Store } from "./s3-store.ts";
import type { S3Store } from "./s3-store.ts";
import { cleared } from "./servers.ts";

const signal = AbortSignal.timeout(120_000);
const db = applianceId(ensembleName("shop"), applianceName("db"));
const at = { place: "s3://images/backups/3f2a", appliance: db, credentials: "keys" };
const nothing = { records: [], parts: [] };

type Rig = {
  readonly store: S3Store;
  readonly sweeper: ObjectSweeper;
  readonly put: (...keys: string[]) => Promise<void>;
  readonly keys: () => readonly string[];
};

async function rig(t: TestContext): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-sweep-"));
  const store = await s3Store(mkdtempSync(join(directory, "store-")));
  t.after(async () => {
    await store.close();
    cleared(directory);
  });
  const { secret } = store;
  const transfer = openTransfer({ clock: systemClock(), roots: [] });
  const file = join(directory, "content");
  writeFileSync(file, "content");
  return {
    store,
    sweeper: new ObjectSweeper({ transfer, secretFor: async () => secret }),
    put: async (...keys) => {
      for (const key of keys)
        await transfer.upload(file, { url: `s3://images/${key}`, secret }, () => {}, signal);
    },
    keys: () => store.keys(),
  };
}

const mine = "backups/3f2a/shop/db";
const part = (digit: string): string => digit.repeat(64);

test("what is needed stays, with all that it was taken after, and so does what is of others", async (t) => {
  const { sweeper, put, keys } = await rig(t);
  const others = [
    "backups/3f2ab/shop/db/c1.json",
    "backups/77aa/shop/db/c1.json",
    `backups/77aa/shop/db/parts/${part("a")}`,
    "backups/3f2a/shop/db2/c1.json",
  ];
  await put(...others, ...["c1", "c2", "c3"].map((id) => `${mine}/${id}.json`));
  await put(...["a", "b", "c", "d"].map((digit) => `${mine}/parts/${part(digit)}`));
  const digest = (digit: string): Digest => `sha256:${part(digit)}`;
  await sweeper.sweep(at, { records: ["c2", "c3"], parts: [digest("a"), digest("c")] }, signal);
  const kept = [
    `${mine}/c2.json`,
    `${mine}/c3.json`,
    `${mine}/parts/${part("a")}`,
    `${mine}/parts/${part("c")}`,
  ];
  assert.deepEqual(keys(), [...others, ...kept].toSorted());
  await sweeper.sweep(at, nothing, signal);
  await sweeper.sweep(at, nothing, signal);
  assert.deepEqual(keys(), others.toSorted());
});

test("a sweep that is cut off at any removal leaves no record without its parts, and the next one goes on", async (t) => {
  const { store, sweeper, put, keys } = await rig(t);
  await put(`${mine}/c1.json`, `${mine}/c2.json`, `${mine}/parts/${part("a")}`, `${mine}/parts/${part("b")}`);
  let left = 0;
  store.fault = (what, _request, response) => {
    if (!what.startsWith("DELETE") || (left -= 1) >= 0) return false;
    response.writeHead(503).end();
    return true;
  };
  for (const removals of [1, 1, 1, 1]) {
    left = removals;
    await assert
      .rejects(sweeper.sweep(at, nothing, signal), (cause) => codeOf(cause) === "unavailable" && left < 0)
      .catch((cause: unknown) => {
        // The last one has nothing left to fail at.
        if (keys().length > 0) throw cause;
      });
    const now = keys();
    const [records, parts] = [
      now.filter((key) => key.endsWith(".json")),
      now.filter((key) => key.includes("/parts/")),
    ];
    assert.ok(records.length === 0 || parts.length === 2, now.join());
  }
  assert.deepEqual(keys(), []);
});

test("a store that refuses or does not answer is told as it is", async (t) => {
  const { store, sweeper, put, keys } = await rig(t);
  await put(`${mine}/c1.json`);
  for (const [status, code] of [
    [403, "forbidden"],
    [503, "unavailable"],
  ] as const) {
    store.fault = (what, _request, response) => {
      if (what === "GET uploads") return false;
      response.writeHead(status).end();
      return true;
    };
    await assert.rejects(sweeper.sweep(at, nothing, signal), (cause) => codeOf(cause) === code);
  }
  store.fault = undefined;
  assert.deepEqual(keys(), [`${mine}/c1.json`]);
});

test("a store that says it removed what it goes on listing is not believed", async (t) => {
  const { store, sweeper, put } = await rig(t);
  await put(`${mine}/c1.json`);
  store.fault = (what, _request, response) => {
    if (!what.startsWith("DELETE")) return false;
    response.writeHead(204).end();
    return true;
  };
  await assert.rejects(sweeper.sweep(at, nothing, signal), /still listed/);
});

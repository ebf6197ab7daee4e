import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { hasPlenty, whoIsHeld } from "./who-is-held.ts";
import type { DiskRoom, Growth } from "./who-is-held.ts";

const idOf = (name: string): ApplianceId => applianceId(ensembleName("shop"), applianceName(name));
const [web, db, logs, idle] = [idOf("web"), idOf("db"), idOf("logs"), idOf("idle")];
/** Of 10,000 MiB 500 are the reserve. */
const free = (mib: number): DiskRoom => ({ freeBytes: mebibytes(mib), totalBytes: mebibytes(10_000) });
const grows = (mibPerSecond: number): Growth => ({
  bytesPerSecond: mibPerSecond * 2 ** 20,
  isGrowing: mibPerSecond > 0,
});
const growths = new Map([
  [web, grows(30)],
  [db, grows(80)],
  [logs, grows(0.01)],
  [idle, grows(0)],
]);
const nobody = new Set<ApplianceId>();

test("while there is room nobody is held, whatever it writes", () => {
  assert.deepEqual(whoIsHeld(free(750), growths, new Set([web])), nobody);
  assert.deepEqual(whoIsHeld(free(500), growths, nobody), nobody);
});

test("short of room, they are held who would fill it soon, the fastest first, and not who shares it", () => {
  assert.deepEqual(whoIsHeld(free(499), growths, nobody), new Set([db, web]));
  const [slowly, fast] = [grows(0.3), grows(9)];
  assert.deepEqual(
    whoIsHeld(
      free(499),
      new Map([
        [web, slowly],
        [db, fast],
      ]),
      nobody,
    ),
    new Set([db]),
  );
});

test("with little left, all are held who take any of it, and nobody else", () => {
  assert.deepEqual(whoIsHeld(free(249), growths, nobody), new Set([db, web, logs]));
  assert.deepEqual(whoIsHeld(free(0), growths, nobody), new Set([db, web, logs]));
});

test("it stays so until there is plenty again", () => {
  assert.deepEqual(whoIsHeld(free(600), growths, new Set([db])), new Set([db]));
});

test("of a large file system 2 GiB are enough", () => {
  assert.ok(hasPlenty({ freeBytes: mebibytes(3072), totalBytes: mebibytes(1024 * 1024) }));
  assert.ok(!hasPlenty({ freeBytes: mebibytes(3071), totalBytes: mebibytes(1024 * 1024) }));
});

test("who takes no room is never held, and short of room only more are", () => {
  const ids = [web, db, logs, idle];
  const machines = fc.uniqueArray(fc.tuple(fc.constantFrom(...ids), fc.nat(100)), {
    selector: ([id]) => id,
  });
  fc.assert(
    fc.property(fc.nat(1500), machines, fc.subarray(ids), (freeMib, list, before) => {
      const by = new Map(list.map(([id, mibPerSecond]) => [id, grows(mibPerSecond)]));
      const now = whoIsHeld(free(freeMib), by, new Set(before));
      if (hasPlenty(free(freeMib))) return now.size === 0;
      for (const id of before) assert.ok(now.has(id));
      for (const id of now) assert.ok(before.includes(id) || by.get(id)?.isGrowing);
      const [fastest] = [...by].sort(([, one], [, other]) => other.bytesPerSecond - one.bytesPerSecond);
      // Whoever is held newly, the fastest of those who were not held is among them.
      const isNew = [...now].some((id) => !before.includes(id));
      return !isNew || fastest === undefined || now.has(fastest[0]);
    }),
  );
});

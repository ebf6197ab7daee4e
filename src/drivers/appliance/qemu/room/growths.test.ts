import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { bytes, mebibytes, millis } from "#base/units.ts";
import { Growths } from "./growths.ts";

const db = applianceId(ensembleName("shop"), applianceName("db"));

test("what is written all the time counts more and more, what was written once less and less", () => {
  const growths = new Growths();
  const seen: { mibPerSecond: number; isGrowing: boolean }[] = [];
  const look = (sizeMib: number, second: number): void => {
    const { bytesPerSecond = 0, isGrowing = false } =
      growths.look(new Map([[db, mebibytes(sizeMib)]]), millis(second * 1000)).get(db) ?? {};
    seen.push({ mibPerSecond: Math.round(bytesPerSecond / 2 ** 20), isGrowing });
  };
  look(1000, 0);
  for (let second = 1; second <= 30; second += 1) look(1000 + second * 10, second);
  const [first, second] = seen;
  assert.deepEqual(
    [first, second],
    [
      { mibPerSecond: 0, isGrowing: false },
      { mibPerSecond: 1, isGrowing: true },
    ],
  );
  assert.deepEqual(seen.at(-1), { mibPerSecond: 10, isGrowing: true });
  look(1300, 31);
  assert.deepEqual(seen.at(-1), { mibPerSecond: 9, isGrowing: false });
  look(200, 90);
  assert.deepEqual(seen.at(-1), { mibPerSecond: 0, isGrowing: false });
});

test("what is seen for the first time has not grown, nor what was not looked at", () => {
  const growths = new Growths();
  growths.look(new Map(), millis(0));
  const first = growths.look(new Map([[db, mebibytes(9)]]), millis(1000));
  assert.equal(first.get(db)?.isGrowing, false);
  growths.forget();
  const later = growths.look(new Map([[db, bytes(mebibytes(99))]]), millis(2000));
  assert.equal(later.get(db)?.isGrowing, false);
});

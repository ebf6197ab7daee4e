import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mebibytes, milliCpu } from "#base/units.ts";
import { planned, seen } from "#host/sample.ts";
import { fitting } from "#host/room.ts";

const capacity = { cpuMilli: milliCpu(1000), memoryBytes: mebibytes(512) };
const memory = (mib: number) => ({ memoryBytes: mebibytes(mib) });
const limit = (mib: number) => ({ memoryLimitBytes: mebibytes(mib) });
const share = (milli: number) =>
  ({ cpu: { kind: "share", shareMilli: milliCpu(milli), limitMilli: milliCpu(1000) } }) as const;

describe("fitting()", () => {
  it("is everything while nothing is being stopped: the plan fits its host", () => {
    const wanted = [planned("web", memory(400)), planned("db", memory(400))];
    assert.deepEqual(fitting(capacity, [], [], wanted), new Set(wanted));
  });

  it("is what fits beside what is still being stopped, in the plan's order", () => {
    const [web, db] = [planned("web", memory(128)), planned("db", memory(100))];
    assert.deepEqual(fitting(capacity, [seen("old", limit(400))], [], [web, db]), new Set([db]));
  });

  it("counts processor time like memory", () => {
    const [web, db] = [planned("web", share(600)), planned("db", share(100))];
    assert.deepEqual(fitting(capacity, [seen("old", share(500))], [], [web, db]), new Set([db]));
  });

  it("lets what runs shrink at once, and grow only where there is room", () => {
    const [grown, shrunk] = [planned("web", memory(200)), planned("db", memory(50))];
    const staying = [seen("web", limit(100)), seen("db", limit(100))];
    const fits = fitting(capacity, [seen("old", limit(300))], staying, [grown, shrunk]);
    assert.deepEqual(fits, new Set([shrunk]));
  });

  it("never holds back what asks for nothing", () => {
    const free = planned("log");
    assert.deepEqual(fitting(capacity, [seen("old", limit(512))], [], [free]), new Set([free]));
  });
});

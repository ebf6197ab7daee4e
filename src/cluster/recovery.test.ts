import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { withoutHost } from "#cluster/maintenance.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import {
  displacements,
  hostsToFence,
  hostsWaitedFor,
  replacedRecord,
  replacementProblem,
  wholeOf,
} from "#cluster/recovery.ts";
import type { HostFates } from "#cluster/recovery.ts";
import { drainProgress } from "#cluster/reconcilers/drains.ts";
import { sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { MappingProblem } from "#planner/mapping.ts";

const id = (name: string): ApplianceId => applianceId(ensembleName("shop"), applianceName(name));
const [web, db, log] = [id("web"), id("db"), id("log")];
const [a1, a2, b1] = [hostId("a1"), hostId("a2"), hostId("b1")];

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { priority: 3 }),
    sampleAppliance("db", { priority: 8 }),
    sampleAppliance("log", { priority: 3, onHostLoss: "in-place" }),
  ],
});
const onA1 = (fields: Partial<EnsembleRecord> = {}): EnsembleRecord => ({
  ...sampleRecord(shop, { web: "a1", db: "a1", log: "a1" }),
  unleased: { [log]: [a1] },
  ...fields,
});

const fates = (fields: Partial<Record<keyof HostFates, HostId>>): HostFates => ({
  isLost: (host) => host === fields.isLost,
  isDraining: (host) => host === fields.isDraining,
  hasEnded: () => false,
});
const first = (record: EnsembleRecord, given: HostFates) =>
  displacements([record], given)[0] ?? assert.fail("nothing is displaced");
const problem: MappingProblem = { topology: sampleTopology(), ensembles: [shop], existing: [] };

describe("displacements()", () => {
  it("are none while hosts are well, and of none that is being removed", () => {
    assert.deepEqual(displacements([onA1()], fates({})), []);
    assert.deepEqual(displacements([onA1({ state: "removing" })], fates({ isLost: a1 })), []);
  });

  it("come with the highest priority first, and leave what is to stay in place to its host", () => {
    const found = displacements([onA1()], fates({ isLost: a1 }));
    assert.deepEqual(
      found.map(({ priority, moving }) => [priority, moving]),
      [
        [8, [db]],
        [3, [web]],
      ],
    );
    assert.deepEqual(found[0]?.homeless, new Set([web, db]));
  });

  it("leave out what may run without its host's lease, and what had ended before", () => {
    const unsure = onA1({ unleased: { [log]: [a1], [web]: [a1] } });
    const moving = displacements([unsure], fates({ isLost: a1 })).flatMap((one) => one.moving);
    assert.deepEqual(moving, [db]);
    const ended = { ...fates({ isLost: a1 }), hasEnded: (one: ApplianceId) => one === db };
    assert.deepEqual(
      displacements([onA1()], ended).flatMap((one) => one.moving),
      [web],
    );
  });

  it("are all of a draining host, which run there until they move", () => {
    const found = displacements([onA1()], fates({ isDraining: a1 }));
    assert.deepEqual(
      found.map(({ moving }) => moving),
      [[db], [web, log]],
    );
    assert.equal(found[0]?.homeless.size, 0);
  });

  it("have what was left without any host among them", () => {
    const record = onA1({ placements: { [db]: a2 } });
    const moving = displacements([record], fates({})).flatMap((one) => one.moving);
    assert.deepEqual(moving, [web, log]);
  });
});

describe("replacementProblem()", () => {
  it("holds what runs where it is, and leaves out what comes later", () => {
    const asked = replacementProblem(problem, first(onA1(), fates({ isLost: a1 })));
    assert.deepEqual(asked.pinned, new Set([log]));
    assert.deepEqual(asked.absent, new Set([web]));
    assert.deepEqual(asked.previous, new Map([[log, a1]]));
  });

  it("lets what may run elsewhere make room, but not what is to stay in place", () => {
    const record = onA1({ placements: { [db]: a1, [web]: a2, [log]: a2 } });
    const asked = replacementProblem(problem, wholeOf(first(record, fates({ isLost: a1 }))), true);
    assert.deepEqual(asked.pinned, new Set([log]));
    assert.equal(asked.previous?.get(web), a2);
    assert.equal(asked.absent?.size, 0);
  });
});

describe("replacedRecord()", () => {
  const displaced = first(onA1(), fates({ isLost: a1 }));
  const placements = new Map([
    [db, b1],
    [log, a1],
  ]);
  const after = replacedRecord(displaced, { placements, paths: [] });

  it("has the old host left by what moves; who waits stays there until it returns", () => {
    assert.deepEqual(after.placements, { [db]: b1, [log]: a1, [web]: a1 });
    assert.deepEqual(after.leaving, { [db]: [a1] });
    assert.deepEqual(after.unleased, { [log]: [a1] });
  });

  it("leaves no place to who waits and has a link or a rule with one that moves", () => {
    for (const fields of [
      { links: [sampleLink("web", "db")] },
      { placement: [{ rule: "apart" as const, scope: "host" as const, appliances: ["web", "db"] }] },
    ]) {
      const record = onA1({ ensemble: { ...shop, ...fields } });
      const left = replacedRecord(first(record, fates({ isLost: a1 })), { placements, paths: [] });
      assert.deepEqual(left.placements, { [db]: b1, [log]: a1 });
      assert.deepEqual(left.leaving, { [web]: [a1], [db]: [a1] });
    }
  });

  it("has the lost host fenced, and no other", () => {
    assert.deepEqual(
      hostsToFence(onA1(), after, (host) => host === a1),
      [a1],
    );
    assert.deepEqual(
      hostsToFence(onA1(), after, () => false),
      [],
    );
  });
});

describe("hostsWaitedFor()", () => {
  const lost = (host: HostId): boolean => host === a1;

  it("are lost hosts that something bound by their lease has to leave", () => {
    assert.deepEqual(hostsWaitedFor([onA1({ leaving: { [web]: [a1, b1] } })], lost), new Set([a1]));
    assert.deepEqual(hostsWaitedFor([onA1()], lost), new Set());
  });

  it("are not fenced for what would go on running all the same", () => {
    const record = onA1({ leaving: { [log]: [a1] } });
    assert.deepEqual(hostsWaitedFor([record], lost), new Set());
  });

  it("count all of an ensemble that is being removed", () => {
    assert.deepEqual(hostsWaitedFor([onA1({ state: "removing" })], lost), new Set([a1]));
  });
});

describe("withoutHost()", () => {
  it("takes a host out of everything, and is the same object where it was not in", () => {
    const record = onA1({ leaving: { [web]: [a1, b1] } });
    const left = withoutHost(record, a1, (one) => one === log);
    assert.deepEqual([left.placements, left.leaving, left.unleased], [{}, { [web]: [b1] }, {}]);
    assert.deepEqual(left.over, [log], "and does not run again what is over");
    const moving = displacements([left], fates({})).flatMap((one) => one.moving);
    assert.deepEqual(moving, [db, web]);
    assert.equal(
      withoutHost(record, a2, () => true),
      record,
    );
  });
});

describe("drainProgress()", () => {
  it("counts what is there and what may still be there, and says what has no other place", () => {
    const record = onA1({
      placements: { [web]: a2, [db]: a1, [log]: a2 },
      leaving: { [web]: [a1] },
    });
    const going = drainProgress(a1, 3, [record], { stuck: new Map(), hasEnded: () => false });
    assert.deepEqual([going.done, going.total, going.complete], [1, 3, false]);
    const stuck = drainProgress(a1, 3, [record], {
      stuck: new Map([[db, "memory of a2 is full"]]),
      hasEnded: () => false,
    });
    assert.match(stuck.message, /shop\/db has no other place: memory of a2 is full/);
    assert.equal(drainProgress(b1, 3, [record], { stuck: new Map(), hasEnded: () => false }).complete, true);
  });
});

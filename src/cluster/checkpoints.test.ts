import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import {
  checkpointContent,
  checkpointPlans,
  newsOfCheckpoints,
  nextOfRequest,
  restorable,
} from "#cluster/checkpoints.ts";
import type { CheckpointRequest, CheckpointWorld } from "#cluster/checkpoints.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";
import type { CheckpointReport, CheckpointRequestReport, HostReport } from "#protocol/host-report.ts";

const shop = ensembleName("shop");
const [db, web] = ["db", "web"].map((name) => applianceId(shop, applianceName(name))) as [
  ReturnType<typeof applianceId>,
  ReturnType<typeof applianceId>,
];
const [h1, h2, h3] = ["h1", "h2", "h3"].map((name) => hostId(name)) as [HostId, HostId, HostId];

const taken = (id: string, after?: string, copies: readonly HostId[] = [h1, h2]): CheckpointReport => ({
  checkpoint: sampleCheckpoint(id, after === undefined ? {} : { after }),
  copies,
  missing: [],
});

function world(change: {
  readonly reports?: Readonly<Record<string, Partial<HostReport>>>;
  readonly known?: readonly CheckpointReport[];
  readonly nowMs?: number;
}): CheckpointWorld {
  return {
    nowMs: change.nowMs ?? 0,
    placement: (id) => (id === db ? h1 : h2),
    report: (host) => change.reports?.[host] as HostReport | undefined,
    known: (id) =>
      id === db && change.known !== undefined ? { appliance: db, taken: change.known } : undefined,
  };
}

const told = (state: CheckpointRequestReport["state"], message?: string): Partial<HostReport> => ({
  checkpointRequests: [{ id: "r", appliance: db, state, ...(message === undefined ? {} : { message }) }],
});
const request: CheckpointRequest = {
  id: "r",
  ensemble: shop,
  appliances: [db],
  state: "taking",
  requestedAtMs: 0,
};

test("what the host of an appliance tells replaces what is on record; what others tell does not", () => {
  const reports = { h1: { checkpoints: [taken("a")] }, h3: { checkpoints: [taken("b")] } };
  assert.deepEqual(newsOfCheckpoints(h1, world({ reports })), [{ appliance: db, taken: [taken("a")] }]);
  assert.deepEqual(newsOfCheckpoints(h3, world({ reports })), []);
  assert.deepEqual(newsOfCheckpoints(h1, world({ reports, known: [taken("a")] })), []);
});

test("a host that tells nothing of an appliance leaves its checkpoints as they are", () => {
  assert.deepEqual(newsOfCheckpoints(h1, world({ reports: { h1: {} }, known: [taken("a")] })), []);
});

test("a request is done when its checkpoint is on record, not when a host says so", () => {
  const reports = { h1: told("taken") };
  assert.equal(nextOfRequest(request, world({ reports })), undefined);
  assert.equal(nextOfRequest(request, world({ reports, known: [taken("r")] }))?.state, "done");
});

test("a request fails with the host's reason, or when it takes too long", () => {
  const failed = nextOfRequest(request, world({ reports: { h1: told("failed", "no room") } }));
  assert.deepEqual([failed?.state, failed?.message], ["failed", "no room"]);
  assert.equal(nextOfRequest(request, world({ nowMs: 1 })), undefined);
  assert.equal(nextOfRequest(request, world({ nowMs: 10 ** 6 }))?.state, "failed");
});

test("a group goes on when all are held, and is done only if all were paused at one moment", () => {
  const group: CheckpointRequest = { ...request, group: "r", appliances: [db, web] };
  const held = (id: typeof db): Partial<HostReport> => ({
    checkpointRequests: [{ id: "r", appliance: id, state: "held" }],
  });
  assert.equal(nextOfRequest(group, world({ reports: { h1: held(db) } })), undefined);
  assert.equal(nextOfRequest(group, world({ reports: { h1: held(db), h2: held(web) } }))?.goOn, true);
  const alone = { ...group, appliances: [db] };
  const late = nextOfRequest(alone, world({ reports: { h1: told("taken") }, known: [taken("r")] }));
  assert.equal(late?.state, "failed");
});

test("hosts are asked only for what is under way, each for its own", () => {
  const group: CheckpointRequest = { ...request, group: "r", appliances: [db, web] };
  const plans = checkpointPlans([group, { ...request, id: "old", state: "done" }], world({}).placement);
  assert.deepEqual(plans.get(h1), [{ id: "r", group: "r", appliances: [db] }]);
  assert.deepEqual(plans.get(h2), [{ id: "r", group: "r", appliances: [web] }]);
  assert.deepEqual(checkpointPlans([request], world({}).placement).get(h1), [
    { id: "r", appliances: [db], isWhole: true },
  ]);
});

test("the newest checkpoint is restored of which all can be had", () => {
  const record = { appliance: db, taken: [taken("a"), taken("b", "a"), taken("c", "gone")] };
  const found = restorable(record, (host) => host === h2);
  assert.deepEqual(
    found?.checkpoints.map(({ id }) => id),
    ["b", "a"],
  );
  assert.deepEqual(found?.copies.hosts, [h2]);
  assert.equal(
    restorable(record, () => false),
    undefined,
  );
  assert.equal(restorable(record, () => true, "a")?.checkpoints.length, 1);
  assert.equal(
    restorable(undefined, () => true),
    undefined,
  );
});

test("who has a copy keeps all its chain, and knows the others who do", () => {
  const record = { appliance: db, taken: [taken("a", undefined, [h1]), taken("b", "a", [h1, h3])] };
  const content = checkpointContent([record], []);
  assert.deepEqual(content.get(h3), { keep: ["sha256:a", "sha256:b"], peers: [h1] });
  assert.deepEqual(content.get(h1)?.peers, [h3]);
  assert.equal(content.get(h2), undefined);
});

test("nextOfRequest() ends one whose checkpoint gave way to newer ones before all were taken", () => {
  const reports = { [h1]: told("taken") };
  const rotated = world({ reports, known: [taken("newer")] });
  assert.equal(nextOfRequest(request, rotated), undefined);
  const late = nextOfRequest(request, { ...rotated, nowMs: 200_000 });
  assert.equal(late?.state, "failed");
  assert.match(late?.message ?? "", /not kept/);
});

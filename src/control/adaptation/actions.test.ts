import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { ensembleName } from "#base/ids.ts";
import { megabitsPerSecond, micros, milliCpu, millis } from "#base/units.ts";
import { act } from "#control/adaptation/actions.ts";
import type { ActionOutcome } from "#control/adaptation/actions.ts";
import type { Adjustment, ApplianceSpec, CpuReservation, Ensemble, StrategyAction } from "#model/ensemble.ts";

const reservation = (executionMs: number, periodMs: number): CpuReservation => ({
  kind: "reservation",
  executionUs: micros(executionMs * 1000),
  periodUs: micros(periodMs * 1000),
});

const declared = (name: string, fields: Partial<ApplianceSpec>): ApplianceSpec => ({
  name,
  kind: "task",
  replicas: 1,
  command: ["true"],
  env: {},
  files: [],
  networks: [],
  restart: { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(1) },
  onHostLoss: "elsewhere",
  priority: 5,
  placement: { labels: {} },
  stopGraceMs: millis(1),
  ...fields,
});

const vod = (appliances: readonly ApplianceSpec[], adjustments?: readonly Adjustment[]): Ensemble => ({
  name: ensembleName("vod"),
  appliances,
  networks: [],
  links: [],
  placement: [],
  ...(adjustments === undefined ? {} : { adjustments }),
});

const streaming = declared("streaming", {
  cpu: reservation(24, 40),
  traffic: { serviceClass: "gold", outBps: megabitsPerSecond(5), outCeilingBps: megabitsPerSecond(5.5) },
});
const transcoding = declared("transcoding", {
  cpu: reservation(16, 40),
  traffic: { serviceClass: "best-effort", outBps: megabitsPerSecond(4), inBps: megabitsPerSecond(1) },
});
const move8: StrategyAction = {
  kind: "move-cpu",
  executionUs: micros(8000),
  from: "transcoding",
  to: "streaming",
};
const move1: StrategyAction = {
  kind: "move-bandwidth",
  bandwidthBps: megabitsPerSecond(1),
  from: "transcoding",
  to: "streaming",
};
const back = (action: typeof move8 | typeof move1): StrategyAction => ({
  ...action,
  from: action.to,
  to: action.from,
});

function adapted(outcome: ActionOutcome): Extract<ActionOutcome, { kind: "adapted" }> {
  if (outcome.kind === "refused") assert.fail(outcome.reason);
  return outcome;
}
function refused(outcome: ActionOutcome): string {
  assert.equal(outcome.kind, "refused");
  return outcome.kind === "refused" ? outcome.reason : "";
}

describe("actions on an ensemble", () => {
  it("move CPU time and bandwidth as in the video-on-demand scenario, and tell what changed", () => {
    const outcome = adapted(act(vod([streaming, transcoding]), [move8, move1]));
    assert.deepEqual(outcome.adjustments, [
      {
        appliance: "transcoding",
        cpu: reservation(8, 40),
        traffic: { serviceClass: "best-effort", outBps: 3e6, inBps: 1e6 },
      },
      {
        appliance: "streaming",
        cpu: reservation(32, 40),
        traffic: { serviceClass: "gold", outBps: 6e6, outCeilingBps: 6e6 },
      },
    ]);
    assert.deepEqual(outcome.changed, ["transcoding", "streaming"]);
    assert.equal(
      outcome.summary,
      "transcoding 16ms of 40ms → 8ms of 40ms, 4Mbit/s out and 1Mbit/s in → 3Mbit/s out and 1Mbit/s in; " +
        "streaming 24ms of 40ms → 32ms of 40ms, 5Mbit/s out → 6Mbit/s out",
    );
  });

  it("are all done or none", () => {
    assert.match(
      refused(act(vod([streaming, transcoding]), [move8, move8])),
      /transcoding has 8ms of 40ms.*nothing/,
    );
  });

  it("go on from what was adjusted before, and leave no adjustment that says what the spec says", () => {
    const once = adapted(act(vod([streaming, transcoding]), [move8]));
    const again = adapted(act(vod([streaming, transcoding], once.adjustments), [back(move8)]));
    assert.deepEqual(again.adjustments, []);
    assert.deepEqual(again.changed, ["streaming", "transcoding"]);
  });

  it("keep memory and other appliances as they were adjusted", () => {
    const others: Adjustment[] = [
      { appliance: "other", suspended: true },
      { appliance: "streaming", memoryBytes: 1 as Adjustment["memoryBytes"] & number },
    ];
    const { adjustments } = adapted(
      act(vod([streaming, transcoding, declared("other", {})], others), [move8]),
    );
    assert.deepEqual(adjustments[0], others[0]);
    assert.deepEqual(adjustments[1], { appliance: "streaming", cpu: reservation(32, 40), memoryBytes: 1 });
  });

  it("take the same share of a processor from a giver with another period", () => {
    const slow = { ...transcoding, cpu: reservation(40, 80) };
    const { adjustments } = adapted(act(vod([streaming, slow]), [move8]));
    assert.deepEqual(adjustments[0]?.cpu, reservation(24, 80));
  });

  it("give to and take from shares too, whose limits follow", () => {
    const shared = declared("transcoding", {
      cpu: { kind: "share", shareMilli: milliCpu(400), limitMilli: milliCpu(400) },
    });
    const taken = adapted(act(vod([streaming, shared]), [move8])).adjustments[0]?.cpu;
    assert.deepEqual(taken, { kind: "share", shareMilli: 200, limitMilli: 400 });
    const given = adapted(act(vod([streaming, shared]), [back(move8)])).adjustments[1]?.cpu;
    assert.deepEqual(given, { kind: "share", shareMilli: 600, limitMilli: 600 });
    assert.match(
      refused(act(vod([shared, { ...shared, name: "streaming" }]), [move8])),
      /neither transcoding nor streaming has a period/,
    );
  });

  it("refuse what is not there to give, to grow, or at all", () => {
    const bare = declared("transcoding", {});
    assert.match(
      refused(act(vod([streaming, bare]), [move8])),
      /transcoding has no CPU time reserved to give/,
    );
    assert.match(
      refused(act(vod([streaming, bare]), [back(move8)])),
      /transcoding has no CPU time reserved that could grow/,
    );
    assert.match(
      refused(act(vod([streaming, bare]), [move1])),
      /transcoding has no bandwidth reserved to give/,
    );
    assert.match(refused(act(vod([streaming]), [move8])), /there is no appliance transcoding/);
    assert.match(refused(act(vod([streaming]), [{ ...move8, from: "streaming" }])), /cannot give itself/);
    const onlyIn = { ...transcoding, traffic: { serviceClass: "gold", inBps: megabitsPerSecond(2) } };
    assert.match(refused(act(vod([streaming, onlyIn]), [move1])), /same direction/);
    assert.match(
      refused(act(vod([streaming, transcoding]), [{ ...move1, bandwidthBps: megabitsPerSecond(4) }])),
      /transcoding has 4Mbit\/s, and giving 4Mbit\/s leaves nothing/,
    );
  });

  it("leave what teams of the giver have reserved", () => {
    const teams = [
      { name: "encoders", cpu: reservation(9, 40), policy: "together", jobs: [], teams: [] },
    ] as const;
    assert.match(
      refused(act(vod([streaming, { ...transcoding, teams }]), [move8])),
      /teams of transcoding have 22.5%/,
    );
  });

  it("give what is on one processor at a time no more than one", () => {
    const full = { ...streaming, cpu: reservation(36, 40), enforcement: "dispatch-table" } as const;
    assert.match(refused(act(vod([full, transcoding]), [move8])), /streaming would have 44ms of 40ms/);
    adapted(act(vod([{ ...full, enforcement: "bandwidth" }, transcoding]), [move8]));
  });

  it("suspend and resume, also what is declared suspended", () => {
    const held = declared("held", { suspended: true });
    const ensemble = vod([streaming, held]);
    const outcome = adapted(
      act(ensemble, [
        { kind: "suspend", appliance: "streaming" },
        { kind: "resume", appliance: "held" },
      ]),
    );
    assert.deepEqual(outcome.adjustments, [
      { appliance: "streaming", suspended: true },
      { appliance: "held", suspended: false },
    ]);
    assert.equal(outcome.summary, "streaming running → suspended; held suspended → running");
    const reversed = adapted(
      act({ ...ensemble, adjustments: outcome.adjustments }, [{ kind: "resume", appliance: "streaming" }]),
    );
    assert.deepEqual(reversed.adjustments, [{ appliance: "held", suspended: false }]);
  });

  it("hand programs on, to be run when what is adjusted is", () => {
    const run = { kind: "run", appliance: "web-2", command: ["shed", "load"] } as const;
    const outcome = adapted(act(vod([declared("web", { replicas: 3 })]), [run]));
    assert.deepEqual(outcome.runs, [{ appliance: "web-2", command: ["shed", "load"] }]);
    assert.deepEqual(outcome.changed, []);
    assert.equal(outcome.summary, "shed in web-2");
  });
});

const share = (cpu: CpuReservation): number => cpu.executionUs / cpu.periodUs;
const anyReservation = fc
  .tuple(fc.integer({ min: 1000, max: 1_000_000 }), fc.double({ min: 0.001, max: 1, noNaN: true }))
  .map(([periodUs, part]): CpuReservation => ({
    kind: "reservation",
    periodUs: micros(periodUs),
    executionUs: micros(Math.max(1, Math.round(periodUs * part))),
  }));

describe("whatever is moved", () => {
  it("never more is promised than before, nothing is lost but rounding, and the giver keeps something", () => {
    let done = 0;
    fc.assert(
      fc.property(anyReservation, anyReservation, fc.integer({ min: 1, max: 500_000 }), (a, b, amountUs) => {
        const ensemble = vod([declared("a", { cpu: a }), declared("b", { cpu: b })]);
        const outcome = act(ensemble, [
          { kind: "move-cpu", executionUs: micros(amountUs), from: "a", to: "b" },
        ]);
        if (outcome.kind === "refused") return;
        done += 1;
        const now = new Map(outcome.adjustments.map((one) => [one.appliance, one.cpu as CpuReservation]));
        const [less, more] = [now.get("a") ?? a, now.get("b") ?? b];
        assert.equal(more.executionUs, b.executionUs + amountUs);
        assert.ok(less.executionUs > 0 && Number.isInteger(less.executionUs));
        const before = share(a) + share(b);
        const after = share(less) + share(more);
        assert.ok(after <= before + 1e-9, `${before} became ${after}`);
        assert.ok(before - after <= 1 / a.periodUs + 1e-9, "at most a microsecond is lost");
      }),
    );
    assert.ok(done > 10, `only ${done} moves were possible`);
  });
});

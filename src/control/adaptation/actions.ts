import { formatBandwidth } from "#base/units.ts";
import { applianceName } from "#base/ids.ts";
import type { ApplianceName } from "#base/ids.ts";
import { formatRequest, moveBandwidth, moveCpu } from "#control/adaptation/move.ts";
import type { CpuSide } from "#control/adaptation/move.ts";
import { SettingsDraft } from "#control/adaptation/settings.ts";
import { isTeam, moveBetweenTeams, placeOf, teamChanges } from "#control/adaptation/team-moves.ts";
import type { Adjustment, Ensemble, StrategyAction, TrafficSpec } from "#model/ensemble.ts";

/** A program to run inside an appliance, after what is adjusted is. */
export type ActionRun = { readonly appliance: ApplianceName; readonly command: readonly string[] };

export type ActionOutcome =
  | {
      readonly kind: "adapted";
      /** All of the ensemble's from now on. */
      readonly adjustments: readonly Adjustment[];
      /** Appliances that have something else than before. */
      readonly changed: readonly ApplianceName[];
      readonly runs: readonly ActionRun[];
      /** For people: "streaming 24ms of 40ms → 32ms of 40ms". */
      readonly summary: string;
    }
  | { readonly kind: "refused"; readonly reason: string };

type ActionOf<Kind extends StrategyAction["kind"]> = Extract<StrategyAction, { readonly kind: Kind }>;

/**
 * What an ensemble's adjustments are once these actions are done, one after the other: all of them or none (reference
 * vtm.md, Adaptation: the strategy activator). Whether hosts can keep it is for admission to say.
 */
export function act(ensemble: Ensemble, actions: readonly StrategyAction[]): ActionOutcome {
  const draft = new SettingsDraft(ensemble);
  const runs: ActionRun[] = [];
  for (const action of actions) {
    const stranger = appliancesIn(action).find((name) => draft.spec(name) === undefined);
    if (stranger !== undefined) return { kind: "refused", reason: `there is no appliance ${stranger}` };
    const reason = carryOut(draft, action, runs);
    if (reason !== undefined) return { kind: "refused", reason };
  }
  const changed = draft.changed().map(applianceName);
  return {
    kind: "adapted",
    adjustments: draft.adjustments(),
    changed,
    runs,
    summary: [
      ...changed.map((name) => differences(name, new SettingsDraft(ensemble), draft)),
      ...runs.map((run) => `${run.command[0] ?? "nothing"} in ${run.appliance}`),
    ].join("; "),
  };
}

/** Why it cannot be done, or undefined when it is. */
function carryOut(draft: SettingsDraft, action: StrategyAction, runs: ActionRun[]): string | undefined {
  switch (action.kind) {
    case "move-cpu":
      return moveCpuIn(draft, action);
    case "move-bandwidth":
      return moveBandwidthIn(draft, action);
    case "suspend":
    case "resume":
      draft.change(action.appliance, {
        ...draft.now(action.appliance),
        suspended: action.kind === "suspend",
      });
      return undefined;
    case "run":
      runs.push({ appliance: applianceName(action.appliance), command: action.command });
      return undefined;
    default:
      return action satisfies never;
  }
}

/** CPU time is also moved between teams: "streaming/encoders". */
function appliancesIn(action: StrategyAction): string[] {
  if (action.kind === "move-cpu") return [action.from, action.to].map((name) => placeOf(name).appliance);
  return "from" in action ? [action.from, action.to] : [action.appliance];
}

function moveCpuIn(
  draft: SettingsDraft,
  { executionUs, from, to }: ActionOf<"move-cpu">,
): string | undefined {
  if (isTeam(from) || isTeam(to)) return moveBetweenTeams(draft, executionUs, from, to);
  const moved = moveCpu(executionUs, side(draft, from), side(draft, to));
  if (moved.kind === "refused") return moved.reason;
  draft.change(from, { ...draft.now(from), cpu: moved.from });
  draft.change(to, { ...draft.now(to), cpu: moved.to });
  return undefined;
}

function moveBandwidthIn(
  draft: SettingsDraft,
  { bandwidthBps, from, to }: ActionOf<"move-bandwidth">,
): string | undefined {
  const moved = moveBandwidth(
    bandwidthBps,
    { name: from, ...draft.now(from) },
    { name: to, ...draft.now(to) },
  );
  if (moved.kind === "refused") return moved.reason;
  draft.change(from, { ...draft.now(from), traffic: moved.from });
  draft.change(to, { ...draft.now(to), traffic: moved.to });
  return undefined;
}

function side(draft: SettingsDraft, name: string): CpuSide {
  const { cpu } = draft.now(name);
  return { ...draft.spec(name), name, teams: draft.teams(name), ...(cpu === undefined ? {} : { cpu }) };
}

function differences(name: string, before: SettingsDraft, after: SettingsDraft): string {
  const [was, is] = [before.now(name), after.now(name)];
  const parts = [
    [was.cpu && formatRequest(was.cpu), is.cpu && formatRequest(is.cpu)],
    [was.traffic && formatTraffic(was.traffic), is.traffic && formatTraffic(is.traffic)],
    [was.suspended ? "suspended" : "running", is.suspended ? "suspended" : "running"],
  ].filter(([a, b]) => a !== b);
  const changes = [
    ...parts.map(([a, b]) => `${a} → ${b}`),
    ...teamChanges(before.teams(name), after.teams(name)),
  ];
  return `${name} ${changes.join(", ")}`;
}

function formatTraffic({ outBps, inBps }: TrafficSpec): string {
  return [
    ...(outBps === undefined ? [] : [`${formatBandwidth(outBps)} out`]),
    ...(inBps === undefined ? [] : [`${formatBandwidth(inBps)} in`]),
  ].join(" and ");
}

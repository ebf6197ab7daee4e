import type { Micros } from "#base/units.ts";
import { formatRequest, moveCpu } from "#control/adaptation/move.ts";
import type { SettingsDraft } from "#control/adaptation/settings.ts";
import { teamsByPath } from "#model/adjustments.ts";
import type { CpuRequest, TeamSpec } from "#model/ensemble.ts";

/** What is moved within appliances: between the teams that share one's reservation, each named "streaming/encoders/deep". */
type Place = {
  readonly appliance: string;
  /** Path of the team; "" for the appliance itself. */
  readonly team: string;
  /** Path of the team it is in. */
  readonly above: string;
};

export const isTeam = (name: string): boolean => name.includes("/");

export function placeOf(name: string): Place {
  const [appliance = "", ...path] = name.split("/");
  return { appliance, team: path.join("/"), above: path.slice(0, -1).join("/") };
}

export function areSideBySide(from: string, to: string): boolean {
  const [giver, taker] = [placeOf(from), placeOf(to)];
  return isTeam(from) && isTeam(to) && giver.appliance === taker.appliance && giver.above === taker.above;
}

/** Why it cannot be done, or undefined when it is. Both are side by side: what is above them keeps what it has. */
export function moveBetweenTeams(
  draft: SettingsDraft,
  executionUs: Micros,
  from: string,
  to: string,
): string | undefined {
  const [giver, taker] = [placeOf(from), placeOf(to)];
  if (!areSideBySide(from, to)) return `${from} and ${to} are not teams side by side in one appliance`;
  const teams = teamsByPath(draft.teams(giver.appliance));
  const [less, more] = [teams.get(giver.team), teams.get(taker.team)];
  if (less === undefined || more === undefined)
    return `${giver.appliance} has no team ${less === undefined ? giver.team : taker.team}`;
  const moved = moveCpu(executionUs, { ...less, name: from }, { ...more, name: to });
  if (moved.kind === "refused") return moved.reason;
  const part = (path: string, cpu: CpuRequest) => (cpu.kind === "reservation" ? [{ path, cpu }] : []);
  draft.changeTeams(giver.appliance, [...part(giver.team, moved.from), ...part(taker.team, moved.to)]);
  return undefined;
}

/** For people: "team encoders 8ms of 40ms → 10ms of 40ms". */
export function teamChanges(before: readonly TeamSpec[], after: readonly TeamSpec[]): string[] {
  const now = teamsByPath(after);
  return [...teamsByPath(before)].flatMap(([path, { cpu }]) => {
    const [was, is] = [partText(cpu), partText(now.get(path)?.cpu)];
    return was === is ? [] : [`team ${path} ${was} → ${is}`];
  });
}

const partText = (cpu: TeamSpec["cpu"]): string =>
  cpu === undefined ? "what others leave" : formatRequest(cpu);

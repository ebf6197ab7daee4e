import type { Adjustment, ApplianceSpec, TeamAdjustment, TeamSpec } from "#model/ensemble.ts";

/** The spec as it holds for one appliance. The same object when nothing of it is adjusted. */
export function adjusted(spec: ApplianceSpec, adjustment: Adjustment | undefined): ApplianceSpec {
  if (adjustment === undefined) return spec;
  const { appliance: _appliance, suspended, vcpus, disk, teams = [], ...changed } = adjustment;
  const { suspended: declared, ...rest } = spec;
  const held = suspended ?? declared ?? false;
  const machine = { ...(vcpus === undefined ? {} : { vcpus }), ...(disk === undefined ? {} : { disk }) };
  return {
    ...rest,
    ...changed,
    ...(spec.teams === undefined || teams.length === 0 ? {} : { teams: adjustedTeams(spec.teams, teams) }),
    ...(spec.vm === undefined ? {} : { vm: { ...spec.vm, ...machine } }),
    ...(held ? { suspended: true as const } : {}),
  };
}

function adjustedTeams(
  teams: readonly TeamSpec[],
  changes: readonly TeamAdjustment[],
  above = "",
): readonly TeamSpec[] {
  return teams.map((team): TeamSpec => {
    const path = `${above}${team.name}`;
    const cpu = changes.find((one) => one.path === path)?.cpu;
    return {
      ...team,
      ...(cpu === undefined ? {} : { cpu }),
      teams: adjustedTeams(team.teams, changes, `${path}/`),
    };
  });
}

/** All teams of an appliance by their paths, each before those inside it. */
export const teamsByPath = (teams: readonly TeamSpec[], above = ""): ReadonlyMap<string, TeamSpec> =>
  new Map(
    teams.flatMap((team): [string, TeamSpec][] => {
      const path = `${above}${team.name}`;
      return [[path, team], ...teamsByPath(team.teams, `${path}/`)];
    }),
  );

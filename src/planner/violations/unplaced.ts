import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Appliance } from "#model/appliances.ts";
import { abilitiesFor, coveredBy, hasDriver } from "#planner/demand.ts";
import type { MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { pinnedHost, wantedAppliances } from "#planner/wanted.ts";

export function unplaced(problem: MappingProblem, placements: Placements): Violation[] {
  const { hosts } = problem.topology;
  return wantedAppliances(problem).flatMap((appliance): Violation[] => {
    if (placements.has(appliance.id)) return [];
    const { spec, id } = appliance;
    const anchor = pinnedBeside(problem, id);
    if (anchor !== undefined) return [stranded(appliance, anchor)];
    const capable = hosts.filter((host) => hasDriver(problem, host, spec));
    if (capable.length === 0) return [unable(problem, appliance)];
    const wanted = requirement(appliance);
    return [
      {
        kind: "no-host",
        appliance: id,
        sites: spec.placement.sites ?? [],
        message: `Cannot place ${id}: none of ${capable.length} hosts that run its kind is allowed, wanted ${wanted}`,
        remedy: `Relax its placement (${wanted}), or add or bring back a host that meets it`,
      },
    ];
  });
}

/** No host at all can run it, wherever it may be. */
function unable(problem: MappingProblem, { id, spec }: Appliance): Violation {
  const { kind } = spec;
  const needs = abilitiesFor(spec);
  const runsKind = problem.topology.hosts.some((host) => hasDriver(problem, host, { kind }));
  const about = { kind: "no-driver", appliance: id, applianceKind: kind } as const;
  if (runsKind) {
    return {
      ...about,
      lacking: needs.filter((one) => one !== kind),
      message: `Cannot place ${id}: no guest runs in KVM on any of these hosts, wanted accel: kvm`,
      remedy: "Declare accel: auto, which does without where it has to, or add a host whose KVM works",
    };
  }
  return {
    ...about,
    lacking: needs,
    message: `Cannot place ${id}: no driver on these hosts for kind ${kind}`,
    remedy: `Add a host that runs appliances of kind ${kind}, or declare another kind`,
  };
}

type Anchor = { readonly appliance: ApplianceId; readonly host: HostId };

/** Someone pinned with whom the appliance must share a host. */
function pinnedBeside(problem: MappingProblem, id: ApplianceId): Anchor | undefined {
  for (const ensemble of problem.pinned === undefined ? [] : problem.ensembles) {
    for (const rule of ensemble.placement) {
      if (rule.rule !== "together" || rule.scope !== "host") continue;
      const covered = coveredBy(rule, ensemble);
      if (!covered.has(id)) continue;
      for (const appliance of covered) {
        const host = pinnedHost(problem, appliance);
        if (host !== undefined) return { appliance, host };
      }
    }
  }
  return undefined;
}

function stranded({ id, spec }: Appliance, anchor: Anchor): Violation {
  return {
    kind: "no-host",
    appliance: id,
    sites: spec.placement.sites ?? [],
    message: `Cannot place ${id}: it must be together with ${anchor.appliance}, which stays on ${anchor.host}, and that host may not take it now`,
    remedy: `Bring ${anchor.host} back, let ${anchor.appliance} move, or relax the rule`,
  };
}

function requirement({ spec }: Appliance): string {
  const { hosts, sites, labels } = spec.placement;
  const parts = [
    ...(hosts === undefined ? [] : [`host ${hosts.join(" or ")}`]),
    ...(sites === undefined ? [] : [`site ${sites.join(" or ")}`]),
    ...Object.entries(labels).map(([name, value]) => `label ${name}=${value}`),
  ];
  return parts.length === 0 ? "any usable host" : parts.join(", ");
}

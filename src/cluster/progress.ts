import type { ApplianceId, HostId, SiteName } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { HostPlanBody } from "#cluster/host-plans.ts";
import { isBoundByLease } from "#cluster/leaving.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceReport, HostProblem, HostReport } from "#protocol/host-report.ts";

/** How far the world is from an ensemble's desired state. */
export type Progress = {
  readonly done: number;
  readonly total: number;
  readonly complete: boolean;
  /** Will not be reached without a change by the user. */
  readonly failed: boolean;
  /** The first appliance that made it fail. */
  readonly failing?: ApplianceId;
  /** What is being waited for, for people. */
  readonly message: string;
};

export type Observed = {
  readonly body: (host: HostId) => HostPlanBody | undefined;
  readonly bodies: () => Iterable<HostPlanBody>;
  /** The newest report of a host that is heard of. */
  readonly report: (host: HostId) => HostReport | undefined;
  /** Hosts that last told of an appliance of the ensemble. */
  readonly holders: (ensemble: string) => Iterable<HostId>;
  /** Whether a host has reported that it matches the newest plan made for it, in all that `concerns`. */
  readonly matches: (host: HostId, concerns: (problem: HostProblem) => boolean) => boolean;
  /** Appliances that wait for their lost host, as is their policy; nobody else waits for them. */
  readonly excused?: (id: ApplianceId) => boolean;
  /** Why an appliance that lost its host has found no other, by its id. */
  readonly stranded?: ReadonlyMap<string, string>;
  /** A lost host whose lease has ended for good: what obeyed it does not run there. */
  readonly isFenced: (host: HostId) => boolean;
  /** Pairs of sites ("alpha and beta") whose tunnel its networks need and that is not guarded yet. */
  readonly unguarded: readonly string[];
};

/** Every appliance runs in its newest generation, and every host concerned matches its plan, tunnels included. */
export function upProgress(record: EnsembleRecord, observed: Observed): Progress {
  const appliances = appliancesOf(record.ensemble);
  const concerns = concernsOf(record);
  const waiting: string[] = [];
  const failures: string[] = [];
  let failing: ApplianceId | undefined;
  const isExcused = (id: ApplianceId): boolean =>
    observed.excused?.(id) === true || record.over?.includes(id) === true;
  const waitedFor = appliances.filter(({ id }) => !isExcused(id));
  for (const { id } of waitedFor) {
    const host = record.placements[id];
    const body = host === undefined ? undefined : observed.body(host);
    const told = host === undefined ? undefined : observed.report(host);
    const plan = body === undefined ? undefined : byId(body.appliances).get(id);
    const report = told === undefined ? undefined : byId(told.appliances).get(id);
    const stranded = observed.stranded?.get(id);
    if (stranded !== undefined && report === undefined) waiting.push(`${id} (no other host: ${stranded})`);
    else if (host === undefined || plan === undefined) waiting.push(`${id} has no host`);
    else if (report === undefined || report.generation !== plan.generation) {
      const problem = told?.problems.find(({ appliance, underWay }) => appliance === id && !underWay);
      const why = problem?.message ?? waitsFor(record, id, observed);
      waiting.push(why === undefined ? `${id} on ${host}` : `${id} on ${host}: ${why}`);
    } else if (isUp(report, plan.suspended === true, told?.at ?? 0)) continue;
    else if (hasFailed(report)) {
      failing ??= id;
      failures.push(`${id} on ${host}: ${report.message ?? report.state}`);
    } else waiting.push(`${id} on ${host} (${report.state})`);
  }
  const done = appliances.length - waiting.length - failures.length;
  const placed = waitedFor.flatMap(({ id }) => record.placements[id] ?? []);
  const hosts = new Set([...placed, ...gatewaysOf(record, observed)]);
  const behind = [...hosts].filter((host) => !observed.matches(host, concerns));
  const noTunnel = observed.unguarded.map((pair) => `the tunnel between ${pair}`);
  const sites = sitesOf(record, observed);
  const tunnelsDown = [...hosts].flatMap((host) =>
    (observed.report(host)?.tunnels ?? [])
      .filter((tunnel) => !tunnel.up && sites.has(tunnel.peerSite))
      .map(
        (tunnel) =>
          `${host}: tunnel to ${tunnel.peerSite}${tunnel.message === undefined ? "" : ` (${tunnel.message})`}`,
      ),
  );
  const complete =
    waiting.length === 0 &&
    failures.length === 0 &&
    behind.length === 0 &&
    tunnelsDown.length === 0 &&
    noTunnel.length === 0;
  return {
    done,
    total: appliances.length,
    complete,
    failed: failing !== undefined,
    ...(failing === undefined ? {} : { failing }),
    message: complete
      ? "all running and connected"
      : failures.length > 0
        ? shortList(failures)
        : `waiting for ${shortList([
            ...waiting,
            ...noTunnel,
            ...tunnelsDown,
            ...behind
              .map((host) => describeBehind(host, observed, concerns))
              // What keeps its appliance waiting need not be told twice.
              .filter((line) => !waiting.some((told) => told.endsWith(` on ${line}`))),
          ])}`,
  };
}

/** No host has anything of it any more. */
export function downProgress(record: EnsembleRecord, observed: Observed): Progress {
  const appliances = appliancesOf(record.ensemble);
  const concerns = concernsOf(record);
  const prefix = `${record.ensemble.name}/`;
  const left = [...observed.holders(record.ensemble.name)].flatMap((host) =>
    (observed.report(host)?.appliances ?? [])
      .filter((one) => one.id.startsWith(prefix))
      .map((one) => `${one.id} on ${host}`),
  );
  const concerned = [record.placements, record.leaving].flatMap((hosts) =>
    Object.entries<HostId | readonly HostId[]>(hosts).flatMap(([id, some]) =>
      [some].flat().filter((host) => mayHaveIt(record, id as ApplianceId, host, observed)),
    ),
  );
  const behind = [...new Set<HostId>(concerned)].filter((host) => !observed.matches(host, concerns));
  const complete = left.length === 0 && behind.length === 0;
  return {
    done: Math.max(0, appliances.length - left.length),
    total: appliances.length,
    complete,
    failed: false,
    message: complete
      ? "nothing left"
      : `waiting for ${shortList([...left, ...behind.map((host) => describeBehind(host, observed, concerns))])}`,
  };
}

const mayHaveIt = (record: EnsembleRecord, id: ApplianceId, host: HostId, observed: Observed): boolean =>
  observed.report(host) !== undefined || !observed.isFenced(host) || !isBoundByLease(record, id, host);

/** What keeps it from starting: another host has not told yet that it is gone from there. */
function waitsFor(record: EnsembleRecord, id: ApplianceId, observed: Observed): string | undefined {
  const hosts = record.leaving[id] ?? [];
  const silent = hosts.find((host) => observed.report(host) === undefined);
  if (silent !== undefined && !isBoundByLease(record, id, silent)) {
    return `${silent} is lost and may still run it; if it is off for good: consort host forget ${silent}`;
  }
  return hosts.length === 0 ? undefined : `waits until it has ended on ${hosts.join(", ")}`;
}

/** As it is meant to be: held, or running and not only between two ends; or ended by itself. `at`: when its host told. */
function isUp({ state, restarts, startedAt }: ApplianceReport, suspended: boolean, at: number): boolean {
  if (state === "running")
    return !suspended && (restarts === 0 || at - (startedAt ?? at) >= limits.settledRunMs);
  return state === "exited" || (suspended && state === "suspended");
}

/** What is amiss with the host as a whole, or with an appliance of the ensemble: others may wait for their own. */
function concernsOf(record: EnsembleRecord): (problem: HostProblem) => boolean {
  const prefix = `${record.ensemble.name}/`;
  return ({ appliance }) => appliance === undefined || appliance.startsWith(prefix);
}

function hasFailed(report: ApplianceReport): boolean {
  return (
    report.state === "failed" ||
    (report.state === "backoff" && report.restarts >= limits.restartsBeforeFailure)
  );
}

function sitesOf(record: EnsembleRecord, observed: Observed): ReadonlySet<SiteName | undefined> {
  const hosts = Object.values<HostId>(record.placements as Record<ApplianceId, HostId>);
  return new Set(hosts.map((host) => observed.report(host)?.site));
}

/** Gateways with a tunnel between two of its sites. */
function gatewaysOf(record: EnsembleRecord, observed: Observed): HostId[] {
  const sites = sitesOf(record, observed);
  if (sites.size < 2) return [];
  return [...observed.bodies()]
    .filter(
      ({ host, tunnels }) =>
        tunnels.some((tunnel) => sites.has(tunnel.peerSite)) &&
        (observed.report(host) === undefined || sites.has(observed.report(host)?.site)),
    )
    .map((body) => body.host);
}

export function describeBehind(
  host: HostId,
  observed: Observed,
  concerns: (problem: HostProblem) => boolean,
): string {
  const report = observed.report(host);
  if (report === undefined) return `${host} (silent)`;
  const problem = report.problems.find((one) => concerns(one) && !one.underWay);
  return problem === undefined ? `${host} (converging)` : `${host}: ${problem.message}`;
}

/** By id, made once for a list that is looked into again and again. */
export function byId<One extends { readonly id: ApplianceId }>(
  list: readonly One[],
): ReadonlyMap<ApplianceId, One> {
  const known = indexes.get(list) as ReadonlyMap<ApplianceId, One> | undefined;
  if (known !== undefined) return known;
  const index = new Map(list.map((one) => [one.id, one]));
  indexes.set(list, index);
  return index;
}

const indexes = new WeakMap<readonly unknown[], ReadonlyMap<ApplianceId, unknown>>();

const shown = 3;

export function shortList(items: readonly string[]): string {
  const more = items.length > shown ? `, and ${items.length - shown} more` : "";
  return `${items.slice(0, shown).join(", ")}${more}`;
}

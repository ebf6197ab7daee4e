import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { HostPlanBody } from "#cluster/host-plans.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceReport, HostReport } from "#protocol/host-report.ts";

/** How far the world is from an ensemble's desired state. */
export type Progress = {
  readonly done: number;
  readonly total: number;
  readonly complete: boolean;
  /** Will not be reached without a change by the user. */
  readonly failed: boolean;
  /** What is being waited for, for people. */
  readonly message: string;
};

export type Observed = {
  readonly bodies: ReadonlyMap<HostId, HostPlanBody>;
  /** The newest report of each host that is heard of. */
  readonly reports: ReadonlyMap<HostId, HostReport>;
  /** Whether a host has reported that it matches the newest plan made for it. */
  readonly matches: (host: HostId) => boolean;
  /** Pairs of sites ("alpha and beta") whose tunnel its networks need and that is not guarded yet. */
  readonly unguarded: readonly string[];
};

/** Every appliance runs in its newest generation, and every host concerned matches its plan, tunnels included. */
export function upProgress(record: EnsembleRecord, observed: Observed): Progress {
  const appliances = appliancesOf(record.ensemble);
  const waiting: string[] = [];
  const failures: string[] = [];
  for (const { id } of appliances) {
    const host = record.placements[id];
    const plan =
      host === undefined ? undefined : observed.bodies.get(host)?.appliances.find((one) => one.id === id);
    const report =
      host === undefined ? undefined : observed.reports.get(host)?.appliances.find((one) => one.id === id);
    if (host === undefined || plan === undefined) waiting.push(`${id} has no host`);
    else if (report === undefined || report.generation !== plan.generation) waiting.push(`${id} on ${host}`);
    else if (isUp(report)) continue;
    else if (hasFailed(report)) failures.push(`${id} on ${host}: ${report.message ?? report.state}`);
    else waiting.push(`${id} on ${host} (${report.state})`);
  }
  const done = appliances.length - waiting.length - failures.length;
  const hosts = new Set([...Object.values(record.placements), ...gatewaysOf(record, observed)]);
  const behind = [...hosts].filter((host) => !observed.matches(host));
  const noTunnel = observed.unguarded.map((pair) => `the tunnel between ${pair}`);
  const tunnelsDown = [...hosts].flatMap((host) =>
    (observed.reports.get(host)?.tunnels ?? [])
      .filter((tunnel) => !tunnel.up)
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
    failed: failures.length > 0,
    message: complete
      ? "all running and connected"
      : shortList([
          ...failures,
          ...waiting,
          ...noTunnel,
          ...tunnelsDown,
          ...behind.map((host) => describeBehind(host, observed)),
        ]),
  };
}

/** No host has anything of it any more. */
export function downProgress(record: EnsembleRecord, observed: Observed): Progress {
  const appliances = appliancesOf(record.ensemble);
  const prefix = `${record.ensemble.name}/`;
  const left = [...observed.reports.values()].flatMap((report) =>
    report.appliances.filter((one) => one.id.startsWith(prefix)).map((one) => `${one.id} on ${report.host}`),
  );
  const behind = [...new Set(Object.values(record.placements))].filter((host) => !observed.matches(host));
  const complete = left.length === 0 && behind.length === 0;
  return {
    done: Math.max(0, appliances.length - left.length),
    total: appliances.length,
    complete,
    failed: false,
    message: complete
      ? "nothing left"
      : shortList([...left, ...behind.map((host) => describeBehind(host, observed))]),
  };
}

/** Running, or ended as it was meant to. */
export function isUp(report: ApplianceReport): boolean {
  return report.state === "running" || report.state === "suspended" || report.state === "exited";
}

function hasFailed(report: ApplianceReport): boolean {
  return (
    report.state === "failed" ||
    (report.state === "backoff" && report.restarts >= limits.restartsBeforeFailure)
  );
}

function gatewaysOf(record: EnsembleRecord, observed: Observed): HostId[] {
  const sites = new Set(
    Object.values<HostId>(record.placements as Record<ApplianceId, HostId>).map(
      (host) => observed.reports.get(host)?.site,
    ),
  );
  if (sites.size < 2) return [];
  return [...observed.bodies.values()].filter((body) => body.tunnels.length > 0).map((body) => body.host);
}

function describeBehind(host: HostId, observed: Observed): string {
  const report = observed.reports.get(host);
  if (report === undefined) return `${host} is silent`;
  const problem = report.problems[0];
  return problem === undefined ? `${host} is converging` : `${host}: ${problem}`;
}

const shown = 3;

function shortList(items: readonly string[]): string {
  const more = items.length > shown ? `, and ${items.length - shown} more` : "";
  return `waiting for ${items.slice(0, shown).join(", ")}${more}`;
}

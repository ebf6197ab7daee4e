import { fullMetric, metricsOf } from "#control/adaptation/metrics.ts";
import type { Finding, Path } from "#formats/problem.ts";
import type { MonitorSpec } from "#model/ensemble.ts";

/**
 * The full name of a metric, `<monitor>.<metric>`, or `<monitor>` of one that measures one thing. A bare metric is that of
 * the only monitor that gives it. What no monitor gives is a finding, with the nearest that one does give.
 */
export function resolveMetric(
  written: string,
  monitors: readonly MonitorSpec[],
  path: Path,
  findings: Finding[],
): string {
  const dot = written.indexOf(".");
  const named = monitors.find(({ name }) => name === (dot < 0 ? written : written.slice(0, dot)));
  const metrics = named === undefined ? undefined : metricsOf(named.source);
  if (named !== undefined && metrics === undefined) return written;
  if (dot >= 0 && metrics?.includes(written.slice(dot + 1)) === true) return written;
  const known = monitors.flatMap((monitor) => knownNames(monitor));
  const bare = dot < 0 ? known.filter((name) => name.endsWith(`.${written}`)) : [];
  const [only, second] = bare;
  if (only !== undefined && second === undefined) return only;
  if (second !== undefined) {
    findings.push({
      path,
      message: `${bare.join(" and ")} are both "${written}"`,
      suggestion: `write ${only}`,
    });
  } else if (monitors.length === 0) {
    findings.push({
      path,
      message: `nothing measures "${written}"`,
      suggestion: "declare a monitor, such as monitors: {video: {appliance: viewer, rtp: 5004}}",
    });
  } else {
    const words = dot < 0 ? new Set(known.map((name) => name.slice(name.indexOf(".") + 1))) : known;
    findings.push({
      path,
      message: `no monitor gives "${written}"`,
      unknown: { word: written, known: words },
    });
  }
  return written;
}

function knownNames({ name, source }: MonitorSpec): string[] {
  return metricsOf(source)?.map((metric) => fullMetric(name, metric)) ?? [name];
}

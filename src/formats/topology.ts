export { topologyDocument } from "#formats/topology-document.ts";

import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Parsed } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import { buildTopology } from "#formats/topology-build.ts";
import { topologyFindings } from "#formats/topology-checks.ts";
import { topologySchema } from "#formats/topology-schema.ts";
import type { Topology } from "#model/topology.ts";

/** A topology from a file's text, YAML or JSON. Never throws; docs/reference/topology.md describes the vocabulary. */
export function parseTopology(text: string, options: { readonly file: string }): Parsed<Topology> {
  const { file } = options;
  const format = formatOf(file) === "json" ? "json" : "yaml";
  const source = readSource(text, file, format, formatLimits.topologyBytes);
  if (!source.ok) return source;
  const checked = check(topologySchema, source.value, file);
  if (!checked.ok) return checked;
  const built = buildTopology(checked.value);
  const findings = [...built.findings, ...topologyFindings(built)];
  if (findings.length > 0) return { ok: false, problems: located(findings, source.value, file) };
  return { ok: true, value: built.topology };
}

/** Sites with first letters of their own, which their hosts are named by: alpha has a1, a2, …. */
const siteNames =
  "alpha beta gamma delta epsilon zeta theta iota kappa lambda mu nu xi omicron pi rho sigma upsilon chi".split(
    " ",
  );

/**
 * The lab unless told otherwise: sites alpha, beta, … of one switch and one gateway each around one router, hosts
 * a1, a2, …, b1, …; every cable 1 Gbit/s without latency; half a core and 1 GiB per host; WireGuard between sites.
 */
export function defaultLabTopology(sites: number, hostsPerSite: number): Topology {
  const named = Array.from({ length: sites }, (_, index) => siteNames[index] ?? `site-${index + 1}`);
  const prefix = (name: string, index: number): string =>
    index < siteNames.length ? name.charAt(0) : `s${index + 1}h`;
  return buildTopology({
    sites: Object.fromEntries(
      named.map((name, index) => [
        name,
        {
          hosts: Object.fromEntries(
            Array.from({ length: hostsPerSite }, (_, host) => [
              `${prefix(name, index)}${host + 1}`,
              { cpu: "50%" },
            ]),
          ),
        },
      ]),
    ),
  }).topology;
}

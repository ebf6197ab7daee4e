import { formatLimits } from "#formats/limits.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { unknownName } from "#formats/suggestion.ts";
import type { BuiltTopology } from "#formats/topology-build.ts";

type Node = { readonly kind: "host" | "switch" | "gateway" | "router"; readonly site?: string };

/** All that the parts of a topology must be to each other; empty when it makes sense. */
export function topologyFindings({ topology, origins }: BuiltTopology): Finding[] {
  const findings: Finding[] = [];
  const sites = new Set<string>(topology.sites.map((site) => site.name));
  const nodes = new Map<string, Node>();
  const add = (id: string, node: Node, path: Path): void => {
    const before = nodes.get(id);
    if (before !== undefined) {
      const message = `"${id}" is already the name of a ${before.kind}`;
      findings.push({ path, message, atKey: true, suggestion: "choose another name" });
    }
    nodes.set(id, node);
  };
  for (const [index, host] of topology.hosts.entries()) {
    const path = origins.hosts[index] ?? [];
    add(host.id, { kind: "host", site: host.site }, path);
    const unknown = unknownName("site", host.site, sites, [...path, "site"]);
    if (unknown !== undefined) findings.push(unknown);
  }
  for (const [index, { id, kind, site }] of topology.devices.entries()) {
    const path = origins.devices[index] ?? [];
    add(id, { kind, ...(site === undefined ? {} : { site }) }, path);
    const unknown = site === undefined ? undefined : unknownName("site", site, sites, [...path, "site"]);
    if (unknown !== undefined) findings.push(unknown);
    if (site === undefined && kind !== "router") {
      findings.push({ path, message: `a ${kind} belongs to a site`, suggestion: "write site: NAME" });
    }
  }
  if (topology.hosts.length === 0) findings.push({ path: ["sites"], message: "expected at least one host" });
  if (nodes.size > formatLimits.nodes || topology.links.length > formatLimits.cables) {
    const given = `${nodes.size} hosts and devices and ${topology.links.length} cables`;
    const message = `${given}, at most ${formatLimits.nodes} and ${formatLimits.cables} are allowed`;
    findings.push({ path: [], message });
  }
  return [...findings, ...cableFindings({ topology, origins, findings: [] }, nodes)];
}

function cableFindings({ topology, origins }: BuiltTopology, nodes: ReadonlyMap<string, Node>): Finding[] {
  const findings: Finding[] = [];
  const known = new Set(nodes.keys());
  const seen = new Set<string>();
  for (const [index, link] of topology.links.entries()) {
    const path = origins.links[index] ?? [];
    const a = nodes.get(link.a);
    const b = nodes.get(link.b);
    if (a === undefined || b === undefined) {
      const unknown = [link.a, link.b].map((id) => unknownName("host or device", id, known, path));
      findings.push(...unknown.filter((finding) => finding !== undefined));
      continue;
    }
    const key = [link.a, link.b].toSorted().join(" ");
    if (link.a === link.b) findings.push({ path, message: `"${link.a}" is cabled to itself` });
    else if (seen.has(key)) {
      const message = `"${link.a}" and "${link.b}" are cabled already`;
      findings.push({ path, message, suggestion: "write one cable with the bandwidth of both" });
    }
    seen.add(key);
    const inTwoSites = a.site !== undefined && b.site !== undefined && a.site !== b.site;
    if (inTwoSites && !(a.kind === "gateway" && b.kind === "gateway")) {
      const message = `"${link.a}" is at site ${a.site}, "${link.b}" at ${b.site}: sites meet at gateways and routers only`;
      findings.push({ path, message });
    }
  }
  return findings;
}

import { adaptationFindings } from "#formats/adaptation-checks.ts";
import type { Built, LinkOrigin } from "#formats/ensemble-build.ts";
import { formatLimits } from "#formats/limits.ts";
import { placementFindings } from "#formats/placement-checks.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { overlap, parseSubnet, usableAddresses } from "#formats/subnet.ts";
import type { Subnet } from "#formats/subnet.ts";
import { unknownName } from "#formats/suggestion.ts";
import { kindFindings } from "#formats/vm-checks.ts";
import { replicaNames } from "#model/appliances.ts";
import type { ApplianceSpec, Ensemble, LinkSpec } from "#model/ensemble.ts";

/** All that the parts of an ensemble must be to each other; empty when it makes sense. */
export function ensembleFindings({ ensemble, linkOrigins, placementOrigins }: Built): Finding[] {
  return [
    ...sizeFindings(ensemble),
    ...ensemble.appliances.flatMap((spec) => applianceFindings(spec, ensemble)),
    ...replicaNameFindings(ensemble),
    ...networkFindings(ensemble),
    ...linkFindings(ensemble, linkOrigins),
    ...placementFindings(ensemble, placementOrigins),
    ...adaptationFindings(ensemble),
  ];
}

function sizeFindings(ensemble: Ensemble): Finding[] {
  const findings: Finding[] = [];
  const total = ensemble.appliances.reduce((sum, spec) => sum + spec.replicas, 0);
  if (total === 0) findings.push({ path: ["appliances"], message: "expected at least one appliance" });
  if (total > formatLimits.appliances) {
    const message = `${total} appliances with their replicas, at most ${formatLimits.appliances} are allowed`;
    findings.push({ path: ["appliances"], message });
  }
  if (ensemble.networks.length > formatLimits.networks) {
    const message = `${ensemble.networks.length} networks, at most ${formatLimits.networks} are allowed`;
    findings.push({ path: ["networks"], message });
  }
  return findings;
}

function applianceFindings(spec: ApplianceSpec, ensemble: Ensemble): Finding[] {
  const path: Path = ["appliances", spec.name];
  const known = new Set(ensemble.networks.map((network) => network.name));
  const findings = spec.networks.flatMap((network, index): Finding[] => {
    const at: Path = [...path, "networks", index];
    if (spec.networks.indexOf(network) < index)
      return [{ path: at, message: `"${network}" is listed twice` }];
    const unknown = unknownName("network", network, known, at);
    return unknown === undefined ? [] : [unknown];
  });
  if (spec.files.length > formatLimits.filesPerAppliance) {
    const message = `${spec.files.length} files, at most ${formatLimits.filesPerAppliance} are allowed`;
    findings.push({ path: [...path, "files"], message });
  }
  findings.push(...kindFindings(spec, path));
  const paths = new Set(spec.files.map((file) => file.path));
  for (const file of spec.files) {
    const at: Path = [...path, "files", file.path];
    if (file.content.length > formatLimits.fileBytes) {
      findings.push({ path: at, message: `longer than ${formatLimits.fileBytes} characters`, atKey: true });
    }
    const parent = parentsOf(file.path).find((folder) => paths.has(folder));
    if (parent === undefined) continue;
    findings.push({
      path: at,
      message: `${parent} is a file here, so nothing can be inside it`,
      atKey: true,
    });
  }
  return findings;
}

function parentsOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/")).slice(1);
}

/** "web" with two replicas stands for web-1 and web-2, which must not be declared as well. */
function replicaNameFindings({ appliances }: Ensemble): Finding[] {
  const specs = new Map(appliances.map((spec) => [spec.name, spec]));
  return appliances.flatMap((spec): Finding[] => {
    const parts = /^(.*)-([1-9]\d{0,4})$/.exec(spec.name);
    const [, stem = "", index = "0"] = parts ?? [];
    const other = specs.get(stem);
    if (other === undefined || Number(index) > other.replicas) return [];
    if (![spec, other].every((one) => replicaNames(one).some((name) => name === spec.name))) return [];
    const message = `"${spec.name}" is also the name of a replica of "${stem}"`;
    return [{ path: ["appliances", spec.name], message, atKey: true, suggestion: "choose another name" }];
  });
}

function networkFindings(ensemble: Ensemble): Finding[] {
  const findings: Finding[] = [];
  const before: { name: string; subnet: Subnet }[] = [];
  for (const { name, subnet: text } of ensemble.networks) {
    if (text === undefined) continue;
    const path: Path = ["networks", name, "subnet"];
    const parsed = parseSubnet(text);
    if (!parsed.ok) {
      const suggestion = parsed.suggestion === undefined ? {} : { suggestion: parsed.suggestion };
      findings.push({ path, message: parsed.message, ...suggestion });
      continue;
    }
    const { subnet } = parsed;
    const other = before.find((network) => overlap(network.subnet, subnet));
    if (other !== undefined)
      findings.push({ path, message: `${text} overlaps the subnet of network "${other.name}"` });
    before.push({ name, subnet });
    const members = ensemble.appliances.reduce(
      (sum, spec) => sum + (spec.networks.includes(name) ? spec.replicas : 0),
      0,
    );
    if (members <= usableAddresses(subnet)) continue;
    findings.push({
      path,
      message: `${members} members do not fit: ${text} has ${usableAddresses(subnet)} addresses`,
    });
  }
  return findings;
}

function linkFindings(ensemble: Ensemble, origins: readonly LinkOrigin[]): Finding[] {
  const specs = new Map(ensemble.appliances.map((spec) => [spec.name, spec]));
  const known = new Set(specs.keys());
  const seen = new Map<string, string>();
  const findings: Finding[] = [];
  let pairs = 0;
  for (const [index, link] of ensemble.links.entries()) {
    const origin = origins[index];
    const from = specs.get(link.from);
    const to = specs.get(link.to);
    if (origin === undefined) continue;
    if (from === undefined || to === undefined) {
      const unknown = [
        unknownName("appliance", link.from, known, origin.from),
        unknownName("appliance", link.to, known, origin.to),
      ];
      findings.push(...unknown.filter((finding) => finding !== undefined));
      continue;
    }
    pairs += from.replicas * to.replicas;
    const network = sharedNetwork(link, from, to, origin, findings);
    if (link.ceilingBps !== undefined && link.ceilingBps < (link.bandwidthBps ?? 0)) {
      const message = "the ceiling is below the bandwidth it promises";
      findings.push({ path: [...origin.link, "ceiling"], message });
    }
    if (network === undefined) continue;
    const key = [[link.from, link.to].toSorted().join(" and "), network].join(" over ");
    const first = seen.get(key);
    if (first === undefined) seen.set(key, `links[${String(origin.link[1])}]`);
    else
      findings.push({ path: origin.link, message: `${first} already links ${key}; a link holds both ways` });
  }
  if (pairs > formatLimits.links) {
    const message = `${pairs} links between replicas, at most ${formatLimits.links} are allowed`;
    findings.push({ path: ["links"], message });
  }
  return findings;
}

/** The network a link runs over, or findings why there is none. */
function sharedNetwork(
  link: LinkSpec,
  from: ApplianceSpec,
  to: ApplianceSpec,
  origin: LinkOrigin,
  findings: Finding[],
): string | undefined {
  if (from.name === to.name && from.replicas === 1) {
    const message = `"${from.name}" is a single appliance and cannot be linked to itself`;
    findings.push({ path: origin.to, message, suggestion: "give it replicas, or name another appliance" });
    return undefined;
  }
  const common = from.networks.filter((network) => to.networks.includes(network));
  const [first] = common;
  if (first === undefined) {
    const message = `"${from.name}" and "${to.name}" have no network in common`;
    const joined = (spec: ApplianceSpec): string =>
      `${spec.name} joins ${spec.networks.join(", ") || "none"}`;
    findings.push({ path: origin.link, message, suggestion: `${joined(from)}; ${joined(to)}` });
    return undefined;
  }
  if (link.network === undefined) return first;
  if (common.includes(link.network)) return link.network;
  const message = `"${from.name}" and "${to.name}" are not both on network "${link.network}"`;
  const suggestion = `both are on ${common.join(", ")}`;
  findings.push({ path: [...origin.link, "network"], message, suggestion });
  return undefined;
}

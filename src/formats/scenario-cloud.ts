import type { Finding, Path } from "#formats/problem.ts";
import type { CloudSource } from "#formats/scenario-content.ts";
import type { CloudDocument } from "#formats/scenario-schema.ts";
import { buildTopology } from "#formats/topology-build.ts";
import { topologyFindings } from "#formats/topology-checks.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { TopologyDocument } from "#formats/topology-schema.ts";
import type { Topology } from "#model/topology.ts";

const unlessTold = { sites: 1, cpu: "400%", memory: "16GiB" } as const;
const shortWords = ["sites", "cpu", "memory", "uplink"] as const;

/** The cloud a scenario plays on; findings tell what does not go together. */
export function cloudOf(cloud: CloudDocument | undefined, findings: Finding[]): CloudSource {
  if (cloud === undefined) return { kind: "topology", topology: defaultLabTopology(2, 2) };
  const forms = (["topology", "snapshot", "hosts"] as const).filter((word) => cloud[word] !== undefined);
  const stray = cloud.hosts === undefined ? shortWords.filter((word) => cloud[word] !== undefined) : [];
  if (forms.length !== 1 || stray.length > 0) {
    const message =
      forms.length > 1
        ? `${forms.join(" and ")} are two clouds`
        : stray.length > 0
          ? `${stray.join(" and ")} ${stray.length > 1 ? "go" : "goes"} with hosts`
          : "which cloud is not said";
    findings.push({
      path: ["cloud"],
      message,
      suggestion: "write hosts: N, or topology: FILE, or snapshot: FILE",
    });
  }
  if (typeof cloud.topology === "string") return { kind: "topology-file", file: cloud.topology };
  if (cloud.snapshot !== undefined) return { kind: "snapshot-file", file: cloud.snapshot };
  const path: Path = cloud.topology === undefined ? ["cloud"] : ["cloud", "topology"];
  const topology = checked(cloud.topology ?? shortForm(cloud), path, findings);
  return { kind: "topology", topology };
}

function checked(document: TopologyDocument, path: Path, findings: Finding[]): Topology {
  const built = buildTopology(document);
  for (const finding of [...built.findings, ...topologyFindings(built)])
    findings.push({ ...finding, path: [...path, ...finding.path] });
  return built.topology;
}

/** So many hosts at each site, named as the lab names them: a1, a2, …, b1, …; or one site of the hosts named. */
function shortForm(cloud: CloudDocument): TopologyDocument {
  const machine = {
    cpu: cloud.cpu ?? unlessTold.cpu,
    memory: cloud.memory ?? unlessTold.memory,
    ...(cloud.uplink === undefined ? {} : { link: cloud.uplink }),
  };
  const { hosts = 1, sites = unlessTold.sites } = cloud;
  const plain = typeof hosts === "number" ? defaultLabTopology(sites, hosts) : undefined;
  if (plain === undefined)
    return { sites: { alpha: { hosts: Object.fromEntries(listed(hosts).map((id) => [id, machine])) } } };
  const bySite = Map.groupBy(plain.hosts, (host) => host.site);
  return {
    sites: Object.fromEntries(
      [...bySite].map(([site, own]) => [
        site,
        { hosts: Object.fromEntries(own.map((host) => [host.id, machine])) },
      ]),
    ),
  };
}

const listed = (hosts: number | readonly string[]): readonly string[] =>
  typeof hosts === "number" ? [] : hosts;

import { ensembleName, hostId, siteName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { ApplianceDocument, EnsembleDocument, LinkDocument } from "#formats/ensemble-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { durationOf, given, read } from "#formats/quantities.ts";
import { adjustmentsOf, classesOf, cpuOf, teamsOf, trafficOf } from "#formats/reservation-build.ts";
import { onHostLossUnlessTold, restartMeaning } from "#formats/restart.ts";
import { monitorsOf, strategiesOf } from "#formats/strategy-build.ts";
import { parseBandwidth, parseBytes } from "#formats/units.ts";
import { memoryUnlessTold, vmOf } from "#formats/vm-build.ts";
import { vmDefaults } from "#formats/vm-defaults.ts";
import { splitWords } from "#formats/words.ts";
import type {
  ApplianceSpec,
  Ensemble,
  FileSpec,
  HostLossPolicy,
  LinkSpec,
  PlacementRule,
  RestartPolicy,
} from "#model/ensemble.ts";

/** Where the two ends of a link were written. */
export type LinkOrigin = { readonly from: Path; readonly to: Path; readonly link: Path };

/** The ensemble a document means, where each link came from, and what could not be built. */
export type Built = {
  readonly ensemble: Ensemble;
  readonly linkOrigins: readonly LinkOrigin[];
  /** Position in the document of each rule that could be built. */
  readonly placementOrigins: readonly number[];
  readonly findings: readonly Finding[];
};

/** From a document that fits the schema; names are not yet checked against each other. */
export function buildEnsemble(document: EnsembleDocument): Built {
  const findings: Finding[] = [];
  const networks = document.networks ?? { [ensembleDefaults.network]: {} };
  const networkNames = Object.keys(networks);
  const linkOrigins: LinkOrigin[] = [];
  const links: LinkSpec[] = [];
  for (const [index, link] of (document.links ?? []).entries()) {
    for (const end of linkEnds(link, index, findings)) {
      linkOrigins.push(end.origin);
      links.push(linkOf(link, end.from, end.to));
    }
  }
  const rules = (document.placement ?? []).flatMap((rule, index) =>
    placementOf(rule, index, findings).map((built) => ({ rule: built, index })),
  );
  const ensemble: Ensemble = {
    name: ensembleName(document.ensemble),
    ...given("description", document.description),
    appliances: Object.entries(document.appliances).map(([name, appliance]) =>
      applianceOf(name, appliance, networkNames, findings),
    ),
    networks: Object.entries(networks).map(([name, network]) => ({
      name,
      ...given("subnet", network?.subnet),
    })),
    links,
    placement: rules.map(({ rule }) => rule),
    ...adaptationOf(document, findings),
  };
  return { ensemble, linkOrigins, placementOrigins: rules.map(({ index }) => index), findings };
}

/** What may change while it runs, by whom, and what has been changed. */
function adaptationOf(document: EnsembleDocument, findings: Finding[]): Partial<Ensemble> {
  const { classes, strategies, adjustments } = document;
  const monitors = document.monitors === undefined ? undefined : monitorsOf(document.monitors, findings);
  return {
    ...given("serviceClasses", classes === undefined ? undefined : classesOf(classes)),
    ...given("monitors", monitors),
    ...given(
      "strategies",
      strategies === undefined ? undefined : strategiesOf(strategies, monitors ?? [], findings),
    ),
    ...given("adjustments", adjustments === undefined ? undefined : adjustmentsOf(adjustments, findings)),
  };
}

function applianceOf(
  name: string,
  document: ApplianceDocument,
  networkNames: readonly string[],
  findings: Finding[],
): ApplianceSpec {
  const path: Path = ["appliances", name];
  const cpu = cpuOf(document.cpu, [...path, "cpu"], findings);
  const { policy: restart, onHostLoss } = restartOf(document.restart, [...path, "restart"], findings);
  return {
    name,
    replicas: document.replicas ?? ensembleDefaults.replicas,
    ...given("numbered", document.numbered),
    ...kindOf(document, cpu, path, findings),
    command: commandOf(document, path, findings),
    env: textMap(document.env),
    files: Object.entries(document.files ?? {}).map(([filePath, file]) => fileOf(filePath, file)),
    ...given("directory", document.directory),
    ...given("cpu", cpu),
    ...given("enforcement", document.enforcement),
    ...given(
      "teams",
      document.teams === undefined ? undefined : teamsOf(document.teams, [...path, "teams"], findings),
    ),
    ...given("traffic", document.traffic === undefined ? undefined : trafficOf(document.traffic)),
    ...(document.suspended === true ? { suspended: true as const } : {}),
    networks: document.networks ?? networksUnlessTold(networkNames, path, findings),
    restart,
    onHostLoss,
    priority: document.priority ?? ensembleDefaults.appliancePriority,
    placement: {
      ...given("hosts", document.hosts?.map(hostId)),
      ...given("sites", document.sites?.map(siteName)),
      labels: textMap(document.labels),
    },
    stopGraceMs: durationOf(document.stopGrace) ?? ensembleDefaults.stopGraceMs,
  };
}

/** What its kind decides: a vm has an image and memory in any case. */
function kindOf(
  document: ApplianceDocument,
  cpu: ApplianceSpec["cpu"],
  path: Path,
  findings: Finding[],
): Pick<ApplianceSpec, "kind" | "image" | "vm" | "memoryBytes"> {
  const { kind = ensembleDefaults.kind, vm } = document;
  const memoryBytes = document.memory === undefined ? undefined : read(parseBytes, document.memory);
  if (kind === "vm") {
    const image = document.image ?? vmDefaults.image;
    const memory = memoryBytes ?? memoryUnlessTold(image);
    return { kind, image, memoryBytes: memory, vm: vmOf(vm ?? {}, { cpu, memoryBytes: memory }) };
  }
  if (vm !== undefined) {
    const message = "only a vm has these";
    findings.push({
      path: [...path, "vm"],
      message,
      suggestion: "write kind: vm, or leave vm out",
      atKey: true,
    });
  }
  return { kind, ...given("image", document.image), ...given("memoryBytes", memoryBytes) };
}

function commandOf(document: ApplianceDocument, path: Path, findings: Finding[]): readonly string[] {
  const { command } = document;
  const at: Path = [...path, "command"];
  if (typeof command === "object") {
    const words = command.map(String);
    if (words.length > 0 && words[0] === "")
      findings.push({ path: at, message: "the program's name is empty" });
    if (words.length > 0 || document.kind === "vm") return words;
  }
  if (typeof command === "string") {
    const split = splitWords(command);
    if (!split.ok) findings.push({ ...split, path: at });
    else if (split.words.length > 0) return split.words;
    if (!split.ok) return [];
  }
  if (document.kind === "vm" && command === undefined) return [];
  findings.push({
    path: command === undefined ? path : at,
    message: "a task needs a command",
    suggestion: "write command: [sleep, infinity] to only exec in it",
  });
  return [];
}

function networksUnlessTold(known: readonly string[], path: Path, findings: Finding[]): readonly string[] {
  if (known.length <= 1) return known;
  findings.push({
    path,
    message: "which networks it joins is not said, and there are several",
    suggestion: `write networks: [${known.slice(0, 5).join(", ")}] or some of them, or [] for none`,
  });
  return [];
}

function fileOf(path: string, file: NonNullable<ApplianceDocument["files"]>[string]): FileSpec {
  if (typeof file === "string") return { path, content: file, mode: ensembleDefaults.fileMode };
  const digits = file.mode === undefined ? undefined : String(file.mode).replace(/^0o/, "");
  const mode = digits === undefined ? ensembleDefaults.fileMode : Number.parseInt(digits, 8);
  return { path, content: file.content, mode };
}

function restartOf(
  restart: ApplianceDocument["restart"],
  path: Path,
  findings: Finding[],
): { readonly policy: RestartPolicy; readonly onHostLoss: HostLossPolicy } {
  const unlessTold = ensembleDefaults.restart;
  if (restart === undefined) return { policy: unlessTold, onHostLoss: onHostLossUnlessTold(unlessTold.when) };
  if (typeof restart === "string") {
    const { when, onHostLoss } = restartMeaning(restart);
    return { policy: { ...unlessTold, when }, onHostLoss };
  }
  const { backoff, when = unlessTold.when } = restart;
  const pauses = typeof backoff === "object" ? backoff : { min: backoff };
  const backoffMsMin = durationOf(pauses.min) ?? unlessTold.backoffMsMin;
  const toldMax = "max" in pauses ? durationOf(pauses.max) : undefined;
  const backoffMsMax = toldMax ?? millis(Math.max(backoffMsMin, unlessTold.backoffMsMax));
  if (backoffMsMax < backoffMsMin) {
    findings.push({ path: [...path, "backoff"], message: "its max is shorter than its min" });
  }
  return {
    policy: { when, backoffMsMin, backoffMsMax },
    onHostLoss: restart.onHostLoss ?? onHostLossUnlessTold(when),
  };
}

function linkEnds(
  link: LinkDocument,
  index: number,
  findings: Finding[],
): { from: string; to: string; origin: LinkOrigin }[] {
  const path: Path = ["links", index];
  const { between, from, to } = link;
  if (between !== undefined && from === undefined && to === undefined) {
    const at = (position: number): Path => [...path, "between", position];
    return between.flatMap((a, left) =>
      between.slice(left + 1).map((b, offset) => {
        const origin = { from: at(left), to: at(left + 1 + offset), link: path };
        return { from: a, to: b, origin };
      }),
    );
  }
  if (between === undefined && from !== undefined && to !== undefined) {
    return [{ from, to, origin: { from: [...path, "from"], to: [...path, "to"], link: path } }];
  }
  findings.push({
    path,
    message: between === undefined ? "a link needs both its ends" : "both between and from/to are given",
    suggestion: "write between: [a, b], or from: a and to: b",
  });
  return [];
}

function linkOf(link: LinkDocument, from: string, to: string): LinkSpec {
  const { bandwidth, ceiling } = link;
  return {
    from,
    to,
    ...given("network", link.network),
    ...given("bandwidthBps", bandwidth === undefined ? undefined : read(parseBandwidth, bandwidth)),
    ...given("ceilingBps", ceiling === undefined ? undefined : read(parseBandwidth, ceiling)),
    ...given("latency", link.latency),
    priority: link.priority ?? ensembleDefaults.linkPriority,
  };
}

function placementOf(
  rule: NonNullable<EnsembleDocument["placement"]>[number],
  index: number,
  findings: Finding[],
): PlacementRule[] {
  const scope = rule.scope ?? ensembleDefaults.placementScope;
  const { together, apart } = rule;
  if (together !== undefined && apart === undefined)
    return [{ rule: "together", scope, appliances: together }];
  if (apart !== undefined && together === undefined) return [{ rule: "apart", scope, appliances: apart }];
  findings.push({
    path: ["placement", index],
    message: "a rule is either together or apart",
    suggestion: "write together: [a, b] or apart: [a, b], one rule per list item",
  });
  return [];
}

function textMap(
  map: Readonly<Record<string, string | number | boolean>> | undefined,
): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).map(([key, value]) => [key, String(value)]));
}

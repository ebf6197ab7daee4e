import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { ApplianceDocument, EnsembleDocument, LinkDocument } from "#formats/ensemble-schema.ts";
import {
  adaptationDocument,
  cpuDocument,
  teamsDocument,
  trafficDocument,
} from "#formats/reservation-document.ts";
import { onHostLossUnlessTold, restartWord } from "#formats/restart.ts";
import { bandwidthText, bytesText, durationText } from "#formats/units.ts";
import { vmDocument } from "#formats/vm-document.ts";
import type { ApplianceSpec, Ensemble, FileSpec, LinkSpec, PlacementRule } from "#model/ensemble.ts";

/** An ensemble as plain JSON in the file's own vocabulary and people's units; what equals a default is left out. */
export function ensembleDocument(ensemble: Ensemble): EnsembleDocument {
  const networkNames = ensemble.networks.map((network) => network.name);
  const [only] = ensemble.networks;
  const plainLan =
    networkNames.length === 1 && only?.name === ensembleDefaults.network && only.subnet === undefined;
  const networks = Object.fromEntries(
    ensemble.networks.map(({ name, subnet }) => [name, subnet === undefined ? {} : { subnet }]),
  );
  return {
    ensemble: ensemble.name,
    ...(ensemble.description === undefined ? {} : { description: ensemble.description }),
    appliances: Object.fromEntries(
      ensemble.appliances.map((spec) => [spec.name, applianceDocument(spec, networkNames)]),
    ),
    ...(plainLan ? {} : { networks }),
    ...(ensemble.links.length === 0 ? {} : { links: ensemble.links.map(linkDocument) }),
    ...(ensemble.placement.length === 0 ? {} : { placement: ensemble.placement.map(placementDocument) }),
    ...adaptationDocument(ensemble),
  };
}

function applianceDocument(spec: ApplianceSpec, networkNames: readonly string[]): ApplianceDocument {
  const { placement, files } = spec;
  const impliedNetworks = networkNames.length <= 1 && spec.networks.join() === networkNames.join();
  const grace = spec.stopGraceMs;
  return {
    ...(spec.kind === ensembleDefaults.kind ? {} : { kind: spec.kind }),
    ...(spec.replicas === ensembleDefaults.replicas ? {} : { replicas: spec.replicas }),
    ...(spec.numbered === undefined ? {} : { numbered: spec.numbered }),
    ...(spec.kind === "vm" || spec.image === undefined ? {} : { image: spec.image }),
    ...(spec.command.length === 0 ? {} : { command: [...spec.command] }),
    ...(Object.keys(spec.env).length === 0 ? {} : { env: { ...spec.env } }),
    ...(files.length === 0
      ? {}
      : { files: Object.fromEntries(files.map((file) => [file.path, fileDocument(file)])) }),
    ...(spec.directory === undefined ? {} : { directory: spec.directory }),
    ...(spec.cpu === undefined ? {} : { cpu: cpuDocument(spec.cpu) }),
    ...(spec.enforcement === undefined ? {} : { enforcement: spec.enforcement }),
    ...(spec.teams === undefined ? {} : { teams: teamsDocument(spec.teams) }),
    ...(spec.kind === "vm" || spec.memoryBytes === undefined ? {} : { memory: bytesText(spec.memoryBytes) }),
    ...(spec.kind === "vm" ? vmDocument(spec) : {}),
    ...(spec.traffic === undefined ? {} : { traffic: trafficDocument(spec.traffic) }),
    ...(spec.suspended === undefined ? {} : { suspended: true }),
    ...(impliedNetworks ? {} : { networks: [...spec.networks] }),
    ...restartDocument(spec),
    ...(spec.priority === ensembleDefaults.appliancePriority ? {} : { priority: spec.priority }),
    ...(placement.hosts === undefined ? {} : { hosts: [...placement.hosts] }),
    ...(placement.sites === undefined ? {} : { sites: [...placement.sites] }),
    ...(Object.keys(placement.labels).length === 0 ? {} : { labels: { ...placement.labels } }),
    ...(grace === ensembleDefaults.stopGraceMs ? {} : { stopGrace: durationText(grace) }),
  };
}

function fileDocument(file: FileSpec): NonNullable<ApplianceDocument["files"]>[string] {
  if (file.mode === ensembleDefaults.fileMode) return file.content;
  return { content: file.content, mode: file.mode.toString(8).padStart(4, "0") };
}

function restartDocument({ restart, onHostLoss }: ApplianceSpec): Pick<ApplianceDocument, "restart"> {
  const { when, backoffMsMin, backoffMsMax } = restart;
  const unlessTold = ensembleDefaults.restart;
  const usualPauses = backoffMsMin === unlessTold.backoffMsMin && backoffMsMax === unlessTold.backoffMsMax;
  const word = restartWord(when, onHostLoss);
  if (usualPauses && word !== undefined)
    return word === ensembleDefaults.restartWord ? {} : { restart: word };
  return {
    restart: {
      when,
      ...(onHostLoss === onHostLossUnlessTold(when) ? {} : { onHostLoss }),
      ...(usualPauses
        ? {}
        : { backoff: { min: durationText(backoffMsMin), max: durationText(backoffMsMax) } }),
    },
  };
}

function linkDocument(link: LinkSpec): LinkDocument {
  return {
    between: [link.from, link.to],
    ...(link.network === undefined ? {} : { network: link.network }),
    ...(link.bandwidthBps === undefined ? {} : { bandwidth: bandwidthText(link.bandwidthBps) }),
    ...(link.ceilingBps === undefined ? {} : { ceiling: bandwidthText(link.ceilingBps) }),
    ...(link.latency === undefined ? {} : { latency: link.latency }),
    ...(link.priority === ensembleDefaults.linkPriority ? {} : { priority: link.priority }),
  };
}

function placementDocument(rule: PlacementRule): NonNullable<EnsembleDocument["placement"]>[number] {
  const scope = rule.scope === ensembleDefaults.placementScope ? {} : { scope: rule.scope };
  return { [rule.rule]: [...rule.appliances], ...scope };
}

import { ConsortError } from "#base/errors.ts";
import type { BitsPerSecond, Micros } from "#base/units.ts";
import type { PhysicalLink, Topology } from "#model/topology.ts";
import { addressSite, type SiteAddresses } from "#lab/addresses.ts";
import { checkNodeName } from "#lab/names.ts";
import { routesOf, type Route } from "#lab/routes.ts";
import { delaysOf, type DelayClass } from "#lab/delays.ts";

/**
 * What a topology becomes on one machine, before any command is made of it: one node per network namespace, one
 * cable per physical link.
 *
 *     host ──uplink─┐                                   ┌─uplink── host
 *     host ──uplink─┤ switch (br0) ─uplink─ gateway ─wan─ router ─wan─ gateway ─ …
 */
export type LabNode = {
  readonly id: string;
  readonly kind: "host" | "switch" | "gateway" | "router";
  /** 1-based index of the node's site; 0 for routers. */
  readonly siteIndex: number;
  readonly interfaces: readonly LabInterface[];
  readonly routes: readonly Route[];
  readonly delays: readonly DelayClass[];
};

export type LabInterface = {
  readonly name: string;
  readonly peer: string;
  /** With prefix length; a switch's ports have none. */
  readonly address?: string;
  readonly bandwidthBps: BitsPerSecond;
  readonly latencyUs: Micros;
};

export type Cable = {
  readonly a: { readonly node: string; readonly interface: string };
  readonly b: { readonly node: string; readonly interface: string };
};

export type LabLayout = {
  readonly nodes: readonly LabNode[];
  readonly cables: readonly Cable[];
  readonly sites: readonly SiteAddresses[];
};

/** The layout while some nodes are not there, nor the cables that end at them, nor the ways through those cables. */
export function withoutNodes(layout: LabLayout, absent: ReadonlySet<string>): LabLayout {
  const cut = layout.cables.filter(({ a, b }) => absent.has(a.node) || absent.has(b.node));
  const cutEnds = new Set(
    cut.flatMap(({ a, b }) => [`${a.node} ${a.interface}`, `${b.node} ${b.interface}`]),
  );
  const lost = new Set(
    layout.nodes
      .filter(({ id }) => absent.has(id))
      .flatMap(({ interfaces }) => interfaces.map(({ address }) => address?.split("/")[0])),
  );
  const nodes = layout.nodes
    .filter(({ id }) => !absent.has(id))
    .map((node) => {
      const interfaces = node.interfaces.filter(({ name }) => !cutEnds.has(`${node.id} ${name}`));
      if (interfaces.length === node.interfaces.length) return node;
      return { ...node, interfaces, routes: node.routes.filter(({ via }) => !lost.has(via)) };
    });
  return { ...layout, nodes, cables: layout.cables.filter((cable) => !cut.includes(cable)) };
}

type Draft = { readonly id: string; readonly kind: LabNode["kind"]; readonly siteIndex: number };
type Ends = { readonly link: PhysicalLink; readonly a: Draft; readonly b: Draft };

/** @throws bad_input when the wiring cannot be built (see the messages); limit_exceeded beyond 243 hosts a site. */
export function layOut(topology: Topology): LabLayout {
  const drafts = draftNodes(topology);
  const ends = topology.links.map((link) => ({
    link,
    a: known(drafts, link.a, link),
    b: known(drafts, link.b, link),
  }));
  checkWiring(topology, drafts, ends);
  const sites = topology.sites.map((site, index) => addressSite(site.name, index + 1, topology));
  const interfaces = new Map<string, LabInterface[]>();
  const cables: Cable[] = [];
  const transit = { next: 0 };
  for (const end of ends) cables.push(connect(end, sites, interfaces, transit));
  const wired = [...drafts.values()].map((draft) => ({
    ...draft,
    interfaces: interfaces.get(draft.id) ?? [],
  }));
  const nodes = wired.map((node) => ({
    ...node,
    routes: routesOf(node, wired, sites),
    delays: delaysOf(node, wired, sites),
  }));
  return { nodes, cables, sites };
}

function draftNodes(topology: Topology): ReadonlyMap<string, Draft> {
  const drafts = new Map<string, Draft>();
  const siteIndex = (name: string | undefined): number =>
    topology.sites.findIndex((site) => site.name === name) + 1;
  for (const host of topology.hosts) {
    drafts.set(host.id, { id: host.id, kind: "host", siteIndex: siteIndex(host.site) });
  }
  for (const device of topology.devices) {
    drafts.set(device.id, { id: device.id, kind: device.kind, siteIndex: siteIndex(device.site) });
  }
  for (const draft of drafts.values()) checkNodeName(draft.id);
  if (drafts.has("managers")) throw cannot(`a node is named "managers", wanted another name`);
  return drafts;
}

function known(drafts: ReadonlyMap<string, Draft>, id: string, link: PhysicalLink): Draft {
  const draft = drafts.get(id);
  if (draft === undefined)
    throw cannot(`link ${link.a} – ${link.b} ends at "${id}", wanted a host or device`);
  return draft;
}

function checkWiring(topology: Topology, drafts: ReadonlyMap<string, Draft>, ends: readonly Ends[]): void {
  for (const site of topology.sites) {
    const gateways = topology.devices.filter(
      (device) => device.kind === "gateway" && device.site === site.name,
    );
    if (gateways.length > 1) throw cannot(`site ${site.name} has ${gateways.length} gateways, wanted one`);
  }
  for (const draft of drafts.values()) {
    const mine = ends.filter(({ a, b }) => a.id === draft.id || b.id === draft.id);
    const kinds = mine.map(({ a, b }) => (a.id === draft.id ? b.kind : a.kind));
    const switches = kinds.filter((kind) => kind === "switch").length;
    if (draft.kind === "host" && switches !== 1) {
      throw cannot(`host ${draft.id} has ${switches} links to switches, wanted one`);
    }
    if (draft.kind === "gateway" && switches > 1) {
      throw cannot(`gateway ${draft.id} has ${switches} links to switches, wanted one`);
    }
    if (draft.kind === "host" && kinds.some((kind) => kind === "router" || kind === "gateway")) {
      throw cannot(`host ${draft.id} is cabled to a router or gateway, wanted a switch between`);
    }
    if (draft.kind === "switch" && kinds.includes("router")) {
      throw cannot(`switch ${draft.id} is cabled to a router, wanted a gateway between`);
    }
  }
  checkNoLoops(ends);
}

/** Bridges here run no spanning tree: one loop and a broadcast circles for ever. */
function checkNoLoops(ends: readonly Ends[]): void {
  const group = new Map<string, string>();
  const rootOf = (id: string): string => {
    const above = group.get(id);
    return above === undefined || above === id ? id : rootOf(above);
  };
  for (const { a, b } of ends) {
    if (a.kind !== "switch" || b.kind !== "switch") continue;
    const [left, right] = [rootOf(a.id), rootOf(b.id)];
    if (left === right) throw cannot(`switches ${a.id} and ${b.id} close a loop, wanted a tree of switches`);
    group.set(left, right);
  }
}

function connect(
  { link, a, b }: Ends,
  sites: readonly SiteAddresses[],
  interfaces: Map<string, LabInterface[]>,
  transit: { next: number },
): Cable {
  const addresses = linkAddresses(a, b, sites, transit);
  const add = (node: Draft, peer: Draft, address: string | undefined): string => {
    const mine = interfaces.get(node.id) ?? [];
    interfaces.set(node.id, mine);
    const name = interfaceName(node, peer, mine);
    mine.push({
      name,
      peer: peer.id,
      bandwidthBps: link.bandwidthBps,
      latencyUs: link.latencyUs,
      ...(address === undefined ? {} : { address }),
    });
    return name;
  };
  return {
    a: { node: a.id, interface: add(a, b, addresses.a) },
    b: { node: b.id, interface: add(b, a, addresses.b) },
  };
}

function interfaceName(node: Draft, peer: Draft, taken: readonly LabInterface[]): string {
  if (node.kind === "switch") return `port${taken.length + 1}`;
  if (peer.kind === "switch") return "uplink";
  if (node.kind === "router" && peer.kind === "gateway") return `site${peer.siteIndex}`;
  if (node.kind === "gateway" && peer.kind === "router" && !taken.some(({ name }) => name === "wan")) {
    return "wan";
  }
  return `link${taken.length + 1}`;
}

function linkAddresses(
  a: Draft,
  b: Draft,
  sites: readonly SiteAddresses[],
  transit: { next: number },
): { readonly a?: string; readonly b?: string } {
  const inSite = (node: Draft): string | undefined => {
    const address = sites[node.siteIndex - 1]?.nodes.get(node.id);
    return address === undefined ? undefined : `${address}/24`;
  };
  const optional = (key: "a" | "b", value: string | undefined): { a?: string; b?: string } =>
    value === undefined ? {} : { [key]: value };
  if (a.kind === "switch" || b.kind === "switch") {
    return { ...optional("a", inSite(a)), ...optional("b", inSite(b)) };
  }
  const gateway = [a, b].find((node) => node.kind === "gateway");
  const router = [a, b].find((node) => node.kind === "router");
  if (gateway !== undefined && router !== undefined) {
    const prefix = `172.31.${gateway.siteIndex}`;
    const [forA, forB] = a === gateway ? [2, 1] : [1, 2];
    return { a: `${prefix}.${forA}/30`, b: `${prefix}.${forB}/30` };
  }
  // Router to router, or host cabled to host: a small net of their own.
  const subnet = transit.next++;
  const prefix = `172.29.${Math.floor(subnet / 64)}`;
  const base = (subnet % 64) * 4;
  return { a: `${prefix}.${base + 1}/30`, b: `${prefix}.${base + 2}/30` };
}

const cannot = (what: string): ConsortError => new ConsortError("bad_input", `Cannot build the lab: ${what}`);

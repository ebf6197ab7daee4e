import { networkText, parseNetwork } from "#base/ipv4.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";

/**
 * How packets reach a tunnel, and never anything else.
 *
 *     rule 100: every packet → table 7061          (before the ordinary table: a route to the peer site there does not count)
 *     table 7061:   throw PEER GATEWAY              the tunnel's own packets: go on to the ordinary table
 *                   PEER SUBNET dev TUNNEL  metric 10
 *                   unreachable PEER SUBNET metric 20   while the tunnel is not there
 *     nft: what claims to come from a peer subnet but arrives outside a tunnel is dropped
 *
 * The rule, the unreachable routes and the filter are made first and removed last, so nothing travels in clear
 * between "wanted" and "up", nor after a tunnel's process died.
 */
export const routeTable = 7061;
/** Marks our routes and rules ("protocol" in iproute2). */
export const routeProtocol = 197;
const rulePriority = 100;
const tunnelMetric = 10;
const refusalMetric = 20;

export type Route = {
  readonly type: "unicast" | "unreachable" | "throw";
  /** CIDR, always with its prefix length. */
  readonly destination: string;
  readonly device?: string;
  readonly metric: number;
};

const cidr = (text: string): string => networkText(parseNetwork(text.includes("/") ? text : `${text}/32`));

/** What holds while a tunnel is wanted, whether it is up or not. */
export function guardRoutes(plans: readonly TunnelPlan[]): Route[] {
  return plans.flatMap((plan) => [
    { type: "throw" as const, destination: cidr(plan.peerAddress), metric: 0 },
    ...plan.peerSubnets.map((subnet) => ({
      type: "unreachable" as const,
      destination: cidr(subnet),
      metric: refusalMetric,
    })),
  ]);
}

export function deviceRoutes(plan: TunnelPlan, device: string): Route[] {
  return plan.peerSubnets.map((subnet) => ({
    type: "unicast",
    destination: cidr(subnet),
    device,
    metric: tunnelMetric,
  }));
}

export const ruleArguments: readonly string[] = [
  "pref",
  String(rulePriority),
  "lookup",
  String(routeTable),
  "protocol",
  String(routeProtocol),
];

const routeKey = (route: Route): string =>
  `${route.type} ${route.destination} ${route.device ?? ""} ${route.metric}`;

function routeLine(verb: "replace" | "del", route: Route): string {
  const type = route.type === "unicast" ? "" : `${route.type} `;
  const device = route.device === undefined ? "" : ` dev ${route.device}`;
  return `route ${verb} ${type}${route.destination}${device} table ${routeTable} proto ${routeProtocol} metric ${route.metric}`;
}

/** Lines for `ip -batch`: missing routes in, then, if asked, the others out. */
export function routeLines(
  wanted: readonly Route[],
  present: readonly Route[],
  removeOthers: boolean,
): string[] {
  const has = new Set(present.map(routeKey));
  const wants = new Set(wanted.map(routeKey));
  return [
    ...wanted.filter((route) => !has.has(routeKey(route))).map((route) => routeLine("replace", route)),
    ...(removeOthers
      ? present.filter((route) => !wants.has(routeKey(route))).map((route) => routeLine("del", route))
      : []),
  ];
}

/** One entry of `ip -j route show table …`. */
export type ShownRoute = {
  readonly type?: string | undefined;
  readonly dst: string;
  readonly dev?: string | undefined;
  readonly metric?: number | undefined;
};

export function readRoute(shown: ShownRoute): Route | undefined {
  const type = shown.type ?? "unicast";
  if (type !== "unicast" && type !== "unreachable" && type !== "throw") return undefined;
  const destination = shown.dst === "default" ? "0.0.0.0/0" : cidr(shown.dst);
  const metric = shown.metric ?? 0;
  return type === "unicast" && shown.dev !== undefined
    ? { type, destination, device: shown.dev, metric }
    : { type, destination, metric };
}

export const filterTable = (mark: string): string => `${mark}-tunnels`;

/** For `nft -f -`: replaces our filter as a whole, in one transaction. */
export function filterText(mark: string, outsideInterface: string, plans: readonly TunnelPlan[]): string {
  const table = `table ip ${filterTable(mark)}`;
  const subnets = plans.flatMap((plan) => plan.peerSubnets.map(cidr));
  const gateways = plans.map((plan) => plan.peerAddress);
  return `${table}
delete ${table}
${table} {
  chain arriving {
    type filter hook prerouting priority raw
    iifname "${outsideInterface}" ip saddr { ${[...new Set(subnets)].join(", ")} } ip saddr != { ${[...new Set(gateways)].join(", ")} } counter drop
  }
}
`;
}

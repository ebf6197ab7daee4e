/** Identities are types too: one brand per kind of thing, so that a host's name never passes for an appliance's. */
declare const kind: unique symbol;
type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type EnsembleName = Id<"ensemble">;
/** An appliance's name inside its ensemble ("web-2"). */
export type ApplianceName = Id<"appliance-name">;
/** "<ensemble>/<appliance>", unique in the cloud. */
export type ApplianceId = Id<"appliance">;
/** "<ensemble>/<network>", unique in the cloud. */
export type NetworkId = Id<"network">;
export type HostId = Id<"host">;
export type SiteName = Id<"site">;
export type OperationId = Id<"operation">;
/** Lower-case, colon-separated: "02:c0:00:00:00:01". */
export type MacAddress = Id<"mac">;
export type Ipv4Address = Id<"ipv4">;

export const ensembleName = (text: string): EnsembleName => text as EnsembleName;
export const applianceName = (text: string): ApplianceName => text as ApplianceName;
export const hostId = (text: string): HostId => text as HostId;
export const siteName = (text: string): SiteName => text as SiteName;
export const operationId = (text: string): OperationId => text as OperationId;
export const macAddress = (text: string): MacAddress => text as MacAddress;
export const ipv4Address = (text: string): Ipv4Address => text as Ipv4Address;

export const applianceId = (ensemble: EnsembleName, name: ApplianceName): ApplianceId =>
  `${ensemble}/${name}` as ApplianceId;
export const networkId = (ensemble: EnsembleName, network: string): NetworkId =>
  `${ensemble}/${network}` as NetworkId;

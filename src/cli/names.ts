import type { Operation } from "#protocol/http/operation.ts";
import type { HostStatus } from "#protocol/http/status.ts";

/** "shop/web-1" → "web-1": where the ensemble is said already. */
export const shortName = (id: string): string => id.slice(id.indexOf("/") + 1);

/** "web-1 – db" */
export const linkName = (link: { readonly from: string; readonly to: string }): string =>
  `${shortName(link.from)} – ${shortName(link.to)}`;

/** What an operation is about: an ensemble's name, or a host's id. */
export const subjectOf = (operation: Pick<Operation, "ensemble" | "host">): string =>
  operation.ensemble ?? operation.host ?? "";

/** "ready", "lost 9s, fenced": `state` as the table at hand words it. */
export const withFence = (host: Pick<HostStatus, "fenced">, state: string): string =>
  host.fenced ? `${state}, fenced` : state;

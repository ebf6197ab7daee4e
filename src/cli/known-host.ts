import { codeOf, ConsortError } from "#base/errors.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { HostStatus } from "#protocol/http/status.ts";

type Verb = "cordon" | "uncordon" | "drain" | "forget";

/** Asks for a change of a host. Throws `not_found` with the nearest known host, else the API's own error. */
export async function changeHost<Answer>(
  client: Client,
  verb: Verb,
  id: string,
  signal: AbortSignal,
  query = "",
): Promise<Answer> {
  try {
    return await client.request<Answer>("POST", `${route`/v1/hosts/${id}`}/${verb}${query}`, signal);
  } catch (error) {
    if (codeOf(error) !== "not_found") throw error;
    const hosts = await client.request<HostStatus[]>("GET", "/v1/hosts", signal);
    if (hosts.some((host) => host.id === id)) throw error;
    throw unknownHost(verb, id, hosts, error);
  }
}

function unknownHost(verb: Verb, id: string, hosts: readonly HostStatus[], cause: unknown): ConsortError {
  const known = hosts.map((host) => host.id).toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const suggestion = didYouMean(id, known);
  const tail = suggestion === undefined ? "" : `; ${suggestion}`;
  return new ConsortError("not_found", `Cannot ${verb} ${id}: no such host${tail}`, { cause });
}

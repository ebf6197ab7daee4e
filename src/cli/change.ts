import { ConsortError, codeOf } from "#base/errors.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";

const waitMs = 2000;

/** Brings an ensemble up, or to its new form; resolves when all of it runs and is connected, rejects when it cannot. */
export async function bringUp(client: Client, ensemble: Ensemble, signal: AbortSignal): Promise<Operation> {
  const where = route`/v1/ensembles/${ensemble.name}`;
  return ended(
    client,
    await client.request<Operation>("PUT", where, signal, ensembleDocument(ensemble)),
    signal,
  );
}

/** Removes an ensemble; resolves when nothing of it is left. */
export async function takeDown(client: Client, name: string, signal: AbortSignal): Promise<Operation> {
  return ended(
    client,
    await client.request<Operation>("DELETE", route`/v1/ensembles/${name}`, signal),
    signal,
  );
}

async function ended(client: Client, accepted: Operation, signal: AbortSignal): Promise<Operation> {
  let operation = accepted;
  while (operation.state === "running") {
    const where = `${route`/v1/operations/${operation.id}`}?waitMs=${waitMs}`;
    operation = await client.request<Operation>("GET", where, signal);
  }
  if (operation.state === "done") return operation;
  throw new ConsortError(
    operation.error === undefined ? "cancelled" : codeOf(operation.error),
    `Cannot ${operation.kind} ${operation.ensemble}: ${operation.message}`,
  );
}

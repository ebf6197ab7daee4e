import { ConsortError, codeOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { subjectOf } from "#cli/names.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";

const waitMs = 500;
/** Least time between two looks, should the manager answer at once. */
const pauseMs = 20;

/** Brings an ensemble up, or to its new form; resolves when all of it runs and is connected, rejects when it cannot. */
export async function bringUp(
  client: Client,
  clock: Clock,
  ensemble: Ensemble,
  signal: AbortSignal,
): Promise<Operation> {
  const where = route`/v1/ensembles/${ensemble.name}`;
  const accepted = await client.request<Operation>("PUT", where, signal, ensembleDocument(ensemble));
  return succeeded(await untilEnded(client, clock, accepted, () => {}, signal));
}

/** Removes an ensemble; resolves when nothing of it is left. */
export async function takeDown(
  client: Client,
  clock: Clock,
  name: string,
  signal: AbortSignal,
): Promise<Operation> {
  const accepted = await client.request<Operation>("DELETE", route`/v1/ensembles/${name}`, signal);
  return succeeded(await untilEnded(client, clock, accepted, () => {}, signal));
}

/** Looks at an operation until it has ended, and shows every look at it to `onLook`. */
export async function untilEnded(
  client: Client,
  clock: Clock,
  accepted: Operation,
  onLook: (operation: Operation) => void,
  signal: AbortSignal,
): Promise<Operation> {
  let operation = accepted;
  onLook(operation);
  while (operation.state === "running") {
    const where = `${route`/v1/operations/${operation.id}`}?waitMs=${waitMs}`;
    const askedAt = clock.monotonic();
    operation = await client.request<Operation>("GET", where, signal);
    onLook(operation);
    const early = pauseMs - (clock.monotonic() - askedAt);
    if (operation.state === "running" && early > 0) await clock.sleep(millis(early), signal);
  }
  return operation;
}

function succeeded(operation: Operation): Operation {
  if (operation.state === "done") return operation;
  throw new ConsortError(
    operation.error === undefined ? "cancelled" : codeOf(operation.error),
    `Cannot ${operation.kind} ${subjectOf(operation)}: ${operation.message}`,
  );
}

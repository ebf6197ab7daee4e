import type { Client } from "#cli/client.ts";
import { operationLine } from "#cli/progress.ts";
import { printable } from "#cli/table.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** The changes that run now, so that who looks at a thing sees why it is not as desired. */
export async function changesUnderWay(client: Client, signal: AbortSignal): Promise<Operation[]> {
  const operations = await client.request<Operation[]>("GET", "/v1/operations", signal);
  return operations.filter(({ state }) => state === "running");
}

/** A block of lines for below a table; nothing when nothing is under way. */
export function underWayLines(operations: readonly Operation[]): string[] {
  if (operations.length === 0) return [];
  const lines = operations.map((one) => `  ${printable(operationLine(one))} (${printable(one.id)})\n`);
  return [`Under way:\n${lines.join("")}`];
}

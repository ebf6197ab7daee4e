import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { applianceId, applianceName } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { ownerOf } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import { consoleRooms, hostAddress, topics } from "#protocol/topics.ts";
import type {
  ConsoleBody,
  ConsoleChunk,
  ExecBody,
  ExecChunk,
  ExecResult,
  LogBody,
  LogResult,
} from "#protocol/topics.ts";

/** What concerns one appliance is asked of the host it is on. */
export async function relayExec(
  parts: { readonly messaging: Messaging; readonly random: Random },
  record: EnsembleRecord,
  appliance: string,
  request: { command: readonly string[]; env: Readonly<Record<string, string>>; stdinBase64?: string },
  onOutput: (stream: "stdout" | "stderr", chunk: Uint8Array) => void,
  signal: AbortSignal,
): Promise<number> {
  const { id, host } = locate(record, appliance, "run a program in");
  const room = `exec/${parts.random.hex(8)}`;
  const unsubscribe = parts.messaging.subscribe(room, (_from, body) => {
    const chunk = body as ExecChunk;
    onOutput(chunk.stream, Buffer.from(chunk.dataBase64, "base64"));
  });
  try {
    const body: ExecBody = { appliance: id, ...request, room };
    const result = (await parts.messaging.request(
      hostAddress(host),
      topics.exec,
      body,
      signal,
    )) as ExecResult;
    return result.exitCode;
  } finally {
    unsubscribe();
  }
}

/** Until the asker goes, or the machine. `session` names it for what is typed. */
export async function relayConsole(
  messaging: Messaging,
  record: EnsembleRecord,
  appliance: string,
  asked: { readonly session: string; readonly onOutput: (chunk: Uint8Array) => void },
  signal: AbortSignal,
): Promise<void> {
  const { id, host } = locate(record, appliance, "open the console of");
  const { session, onOutput } = asked;
  const unsubscribe = messaging.subscribe(consoleRooms(session).output, (_from, body) =>
    onOutput(Buffer.from((body as ConsoleChunk).dataBase64, "base64")),
  );
  try {
    const body: ConsoleBody = { appliance: id, session };
    await messaging.request(hostAddress(host), topics.console, body, signal);
  } finally {
    unsubscribe();
  }
}

export async function relayLog(
  messaging: Messaging,
  record: EnsembleRecord,
  appliance: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<string> {
  const { id, host } = locate(record, appliance, "read the log of");
  const body: LogBody = { appliance: id, maxBytes };
  const result = (await messaging.request(hostAddress(host), topics.log, body, signal)) as LogResult;
  return result.text;
}

function locate(
  record: EnsembleRecord,
  appliance: string,
  action: string,
): { id: ApplianceId; host: HostId } {
  const id = applianceId(record.ensemble.name, applianceName(appliance));
  const host = ownerOf(record, id);
  if (host === undefined && record.parked?.[id] !== undefined) {
    throw new ConsortError(
      "conflict",
      `Cannot ${action} ${id}: it is suspended to disk, wanted one that runs: consort resume ${id}`,
    );
  }
  if (host === undefined) {
    const names = appliancesOf(record.ensemble).map(({ name }) => name);
    throw new ConsortError(
      "not_found",
      `Cannot ${action} ${id}: ${record.ensemble.name} has no such appliance, it has ${names.join(", ")}`,
    );
  }
  return { id, host };
}

import { ConsortError } from "#base/errors.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { consoleRooms } from "#protocol/topics.ts";
import type { ConsoleBody, ConsoleChunk } from "#protocol/topics.ts";

/** Joins a guest's console to two rooms until the asker goes, or the machine. */
export async function serveConsole(
  { appliance, session }: ConsoleBody,
  { appliances, messaging }: { readonly appliances: ApplianceDriver; readonly messaging: Messaging },
  signal: AbortSignal,
): Promise<void> {
  if (appliances.console === undefined) {
    throw new ConsortError(
      "unsupported",
      `Cannot open the console of ${appliance}: its host runs no machines`,
    );
  }
  const rooms = consoleRooms(session);
  const gone = new AbortController();
  const over = AbortSignal.any([signal, gone.signal]);
  const onOutput = (chunk: Uint8Array): void =>
    messaging.publish(rooms.output, { dataBase64: Buffer.from(chunk).toString("base64") });
  const line = await appliances.console(appliance, onOutput, over);
  const unsubscribe = messaging.subscribe(rooms.input, (_from, body) =>
    line.write(Buffer.from((body as ConsoleChunk).dataBase64, "base64")),
  );
  try {
    await line.ended;
  } finally {
    unsubscribe();
    gone.abort();
  }
}

import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { SshPlace } from "#drivers/appliance/port.ts";
import { runOverSsh } from "#drivers/ssh/run-over-ssh.ts";
import type { SshParts } from "#drivers/ssh/run-over-ssh.ts";
import { clock } from "../test/task/host.ts";

const retryMs = millis(5);

/** Resolves when what `place` tells of has said over SSH that this is its name. `place`: undefined while there is none. */
export async function answersAs(
  hostname: string,
  place: () => SshPlace | undefined,
  ssh: SshParts,
  id: ApplianceId,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    let said = "";
    const onOutput = (_stream: string, chunk: Uint8Array): void => {
      said += Buffer.from(chunk).toString();
    };
    const request = { command: ["hostname"], env: {}, onOutput };
    const there = place();
    if (there !== undefined) await runOverSsh(ssh, id, there, request, signal).catch(() => {});
    if (said.trim() === hostname) return;
    await clock.sleep(retryMs, signal);
  }
}

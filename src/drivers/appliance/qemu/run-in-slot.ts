import { Buffer } from "node:buffer";
import type { ApplianceId } from "#base/ids.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { RunningVm } from "./vm.ts";

const outputBytesMax = 64 * 1024;

/** One more program beside a machine's QEMU. */
export async function runInSlot(
  slots: Pick<ApplianceDriver, "exec">,
  id: ApplianceId,
  command: readonly string[],
  signal: AbortSignal,
): ReturnType<RunningVm["run"]> {
  const parts: Buffer[] = [];
  let length = 0;
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    const part = Buffer.from(chunk).subarray(0, outputBytesMax - length);
    length += part.length;
    parts.push(part);
  };
  const exitCode = await slots.exec(id, { command, env: {}, onOutput }, signal);
  return { exitCode, output: Buffer.concat(parts).toString() };
}

import { ConsortError } from "#base/errors.ts";
import { parseReadings, readingLimits } from "#control/monitor/readings.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";

const wordsShown = 200;

/** A program inside the appliance: its user, its limits, its view of the world. */
export class ScriptProbe implements Probe {
  readonly #command: readonly string[];
  readonly #target: MonitorTarget;
  readonly #appliances: Pick<ApplianceDriver, "exec">;

  constructor(command: readonly string[], target: MonitorTarget, appliances: Pick<ApplianceDriver, "exec">) {
    this.#command = command;
    this.#target = target;
    this.#appliances = appliances;
  }

  async read(signal: AbortSignal): Promise<readonly Reading[]> {
    const tooLong = new AbortController();
    const out: Uint8Array[] = [];
    const err: Uint8Array[] = [];
    let bytes = 0;
    const exitCode = await this.#appliances.exec(
      this.#target.appliance,
      {
        command: this.#command,
        env: {},
        onOutput: (stream, chunk) => {
          bytes += chunk.length;
          if (bytes <= readingLimits.answerBytesMax) (stream === "stdout" ? out : err).push(chunk);
          else tooLong.abort(refusal(`it writes more than ${readingLimits.answerBytesMax} bytes`));
        },
      },
      AbortSignal.any([signal, tooLong.signal]),
    );
    tooLong.signal.throwIfAborted();
    if (exitCode === 0) return parseReadings(Buffer.concat(out).toString());
    const words = JSON.stringify(Buffer.concat(err).toString().trim().slice(-wordsShown));
    throw refusal(`${this.#command[0] ?? "nothing"} ended with ${exitCode}, saying ${words}`);
  }

  close(): void {
    // Nothing is held between two readings.
  }
}

const refusal = (what: string): ConsortError =>
  new ConsortError("bad_input", `Cannot read the answer: ${what}`);

import { bytesMaxFor, refusal } from "#control/monitor/readings.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { readerOf } from "#control/monitor/series.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";
import type { MonitorSource } from "#model/ensemble.ts";

const wordsShown = 200;

/** A program inside the appliance: its user, its limits, its view of the world. */
export class ScriptProbe implements Probe {
  readonly #command: readonly string[];
  readonly #read: (printed: string) => readonly Reading[];
  readonly #bytesMax: number;
  readonly #target: MonitorTarget;
  readonly #appliances: Pick<ApplianceDriver, "exec">;

  constructor(
    { command, metrics }: Extract<MonitorSource, { readonly kind: "script" }>,
    target: MonitorTarget,
    appliances: Pick<ApplianceDriver, "exec">,
  ) {
    this.#command = command;
    this.#read = readerOf(metrics);
    this.#bytesMax = bytesMaxFor(metrics);
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
          if (bytes <= this.#bytesMax) (stream === "stdout" ? out : err).push(chunk);
          else tooLong.abort(refusal(`it writes more than ${this.#bytesMax} bytes`));
        },
      },
      AbortSignal.any([signal, tooLong.signal]),
    );
    tooLong.signal.throwIfAborted();
    if (exitCode === 0) return this.#read(Buffer.concat(out).toString());
    const words = JSON.stringify(Buffer.concat(err).toString().trim().slice(-wordsShown));
    throw refusal(`${this.#command[0] ?? "nothing"} ended with ${exitCode}, saying ${words}`);
  }

  close(): void {
    // Nothing is held between two readings.
  }
}

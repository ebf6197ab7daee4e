import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { programOutput } from "#cli/program-output.ts";
import { printable } from "#cli/table.ts";
import { isOver } from "#model/job.ts";
import type { JobOutput, JobStatus, JobStream } from "#protocol/http/job.ts";

const everyMs = millis(300);

const piece = (client: Client, id: string, stream: JobStream, from: number, signal: AbortSignal) =>
  client.request<JobOutput>(
    "GET",
    `${route`/v1/jobs/${id}/output`}?stream=${stream}&fromByte=${from}`,
    signal,
  );

/** All that is kept of a stream now. */
export async function* outputOf(
  client: Client,
  id: string,
  stream: JobStream,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let from = 0; ;) {
    const { dataBase64, nextByte } = await piece(client, id, stream, from, signal);
    if (dataBase64 === "") return;
    yield Buffer.from(dataBase64, "base64");
    from = nextByte;
  }
}

type Reader = { attempt: number; from: number };

/** Shows what a job writes until it is over; undefined: interrupted. */
export async function followJob(
  client: Client,
  id: string,
  { terminal, clock, signal }: CommandContext,
): Promise<JobStatus | undefined> {
  const readers = { stdout: { attempt: 0, from: 0 }, stderr: { attempt: 0, from: 0 } };
  const written = {
    stdout: programOutput(terminal.out, terminal.outIsTerminal),
    stderr: programOutput(terminal.err, terminal.errIsTerminal),
  };
  let toldWhy = "";
  /** Why it does not begin: told again when it is something else, not when a number in it grows. */
  const sayWhy = ({ state, message = "" }: JobStatus): void => {
    const why = message.replaceAll(/[\d.]+/g, "");
    if (state !== "queued" || why === toldWhy) return;
    toldWhy = why;
    terminal.err(`${id} ${printable(message)}\n`);
  };
  /** True: there may be more at once. */
  const show = async (stream: JobStream, reader: Reader): Promise<boolean> => {
    const told = await piece(client, id, stream, reader.from, signal);
    if (told.attempt !== reader.attempt) {
      // Another attempt writes from the beginning.
      const again = reader.attempt !== 0;
      reader.attempt = told.attempt;
      if (again) reader.from = 0;
      if (again) return true;
    }
    reader.from = told.nextByte;
    const data = Buffer.from(told.dataBase64, "base64");
    written[stream](data);
    return data.length > 0;
  };
  try {
    for (;;) {
      // First how it is: what is read afterwards is then all of one that is over.
      const job = await client.request<JobStatus>("GET", route`/v1/jobs/${id}`, signal);
      sayWhy(job);
      try {
        for (const [stream, reader] of Object.entries(readers)) {
          while (await show(stream as JobStream, reader));
        }
      } catch (error) {
        // Its host may be gone for a moment, or for good.
        if (codeOf(error) !== "unavailable" && codeOf(error) !== "not_found") throw error;
      }
      if (isOver(job.state)) return job;
      await clock.sleep(everyMs, signal);
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** The job's own, where it has one. */
export function exitCodeOf(job: JobStatus): number {
  if (job.state === "done") return 0;
  return job.exitCode === undefined || job.exitCode === 0 ? 1 : job.exitCode;
}

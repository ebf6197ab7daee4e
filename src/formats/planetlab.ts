import type { Parsed } from "#formats/problem.ts";

/** CPU use of one machine, in percent, from the beginning of a day, one whole number every 300 s. */
export type Trace = { readonly name: string; readonly percents: readonly number[] };

export const planetlabPeriodMs = 300_000;
export const planetlabSamples = 288;

/**
 * A PlanetLab workload trace as CloudSim publishes it: 288 lines of one whole number from 0 to 100 each. `file` names
 * the virtual machine ("node_slice"). Never throws; a problem carries its line.
 */
export function parsePlanetlab(text: string, file: string): Parsed<Trace> {
  const lines = text.replaceAll("\r", "").split("\n");
  if (lines.at(-1) === "") lines.pop();
  const refuse = (line: number, message: string): Parsed<Trace> => ({
    ok: false,
    problems: [{ file, line, column: 1, path: "", message }],
  });
  const percents: number[] = [];
  for (const [index, line] of lines.entries()) {
    const percent = /^\d{1,3}$/.test(line.trim()) ? Number(line) : Number.NaN;
    if (!(percent <= 100))
      return refuse(
        index + 1,
        `expected a whole number from 0 to 100, not ${JSON.stringify(line.slice(0, 40))}`,
      );
    percents.push(percent);
  }
  if (percents.length !== planetlabSamples)
    return refuse(Math.max(1, percents.length), `expected ${planetlabSamples} lines, not ${percents.length}`);
  return { ok: true, value: { name: nameOf(file), percents } };
}

/** In percent at a moment: as published it holds until the next sample, and a day is followed by the same day. */
export function percentAt(trace: Pick<Trace, "percents">, atMs: number): number {
  const { percents } = trace;
  return percents[Math.floor(atMs / planetlabPeriodMs) % percents.length] ?? 0;
}

const nameOf = (file: string): string => file.slice(file.lastIndexOf("/") + 1);

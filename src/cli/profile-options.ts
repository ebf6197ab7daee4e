import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { Arguments } from "#cli/arguments.ts";
import { nameExpected, nameSchema } from "#formats/fields.ts";
import { parseDuration, parsePeriodUs } from "#formats/units.ts";

export type ProfileOptions = {
  /** Of the appliance, in what is to be pasted. */
  readonly name?: string;
  readonly runs: number;
  readonly forMs?: Millis;
  readonly periodMs?: number;
  /** Runs end when the mean is known to this part of itself. */
  readonly withinPart: number;
  readonly coveredPart: number;
};

const runsUnlessTold = 30;
const runsMost = 10_000;

const bad = (option: string, given: string, wanted: string): ConsortError =>
  new ConsortError("bad_input", `Cannot profile: --${option} is "${given}", wanted ${wanted}`);

export function profileOptions(given: Arguments): ProfileOptions {
  const runs = given.number("runs") ?? runsUnlessTold;
  if (runs < 1 || runs > runsMost) throw bad("runs", String(runs), `a number from 1 to ${runsMost}`);
  const name = given.text("name");
  if (name !== undefined && !nameSchema.safeParse(name).success) throw bad("name", name, nameExpected);
  const forMs = durationOf(given, "for");
  const periodMs = periodOf(given);
  return {
    runs,
    withinPart: partOf(given, "within") ?? 0.02,
    coveredPart: partOf(given, "cover") ?? 0.99,
    ...(name === undefined ? {} : { name }),
    ...(forMs === undefined ? {} : { forMs }),
    ...(periodMs === undefined ? {} : { periodMs }),
  };
}

function durationOf(given: Arguments, option: string): Millis | undefined {
  const text = given.text(option);
  if (text === undefined) return undefined;
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.value > 0) return millis(parsed.value);
  throw bad(option, text, "a duration such as 10s");
}

function periodOf(given: Arguments): number | undefined {
  const [period, rate] = [given.text("period"), given.text("rate")];
  if (period !== undefined && rate !== undefined)
    throw new ConsortError("bad_input", "Cannot profile: --period and --rate say the same, one was wanted");
  if (period !== undefined) {
    const parsed = parsePeriodUs(period);
    if (parsed.ok) return parsed.value / 1000;
    throw bad("period", period, "a period between 1ms and 1s, such as 40ms");
  }
  if (rate === undefined) return undefined;
  const perSecond = Number(/^(\d{1,4}(?:\.\d{1,6})?)\/s$/.exec(rate)?.[1]);
  if (perSecond >= 1 && perSecond <= 1000) return 1000 / perSecond;
  throw bad("rate", rate, "1/s to 1000/s, such as 25/s");
}

/** "2%" → 0.02 */
function partOf(given: Arguments, option: string): number | undefined {
  const text = given.text(option);
  if (text === undefined) return undefined;
  const percent = Number(/^(\d{1,3}(?:\.\d{1,4})?)%$/.exec(text)?.[1]);
  if (percent > 0 && percent <= 100) return percent / 100;
  throw bad(option, text, "a part of more than 0% and up to 100%, such as 2%");
}

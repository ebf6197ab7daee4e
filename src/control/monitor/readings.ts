import { ConsortError } from "#base/errors.ts";

/** One number of what a monitor measures; `metric` is "" where it measures one thing. */
export type Reading = { readonly metric: string; readonly value: number };

export const readingLimits = {
  /** Bytes of what a program or page tells at a time. */
  answerBytesMax: 64 * 1024,
  /** Bytes of a page of which a monitor names what it wants. */
  pageBytesMax: 1024 * 1024,
  /** Different metrics in it. */
  metricsMax: 64,
} as const;

/** Of how much a monitor reads that names what it wants, or does not. */
export const bytesMaxFor = (metrics: unknown): number =>
  metrics === undefined ? readingLimits.answerBytesMax : readingLimits.pageBytesMax;

const metricShape = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/;
const numberShape = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;
const shownLength = 40;

/**
 * What a program or page told: one number, or lines of "metric number"; empty lines and those that begin with # are
 * nothing. Throws `bad_input` with the line that is neither.
 */
export function parseReadings(text: string): Reading[] {
  if (text.length > readingLimits.answerBytesMax)
    throw refusal(`${text.length} characters, ${readingLimits.answerBytesMax} at most were wanted`);
  const lines = text
    .split("\n")
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) throw refusal("nothing, a number was wanted");
  if (lines.length > readingLimits.metricsMax)
    throw refusal(
      `${lines.length} lines, ${readingLimits.metricsMax} at most were wanted, unless the monitor names under "metrics" which of them count`,
    );
  const readings = lines.map(({ line, number }) => readingIn(line, number, lines.length === 1));
  const names = new Set(readings.map(({ metric }) => metric));
  if (names.size < readings.length) throw refusal("a metric twice, each once was wanted");
  return readings;
}

function readingIn(line: string, number: number, alone: boolean): Reading {
  const words = line.split(/\s+/);
  const [metric, text] = words.length === 1 && alone ? ["", words[0]] : words;
  const value = Number(text);
  const isNamed = metric !== undefined && (metric === "" || metricShape.test(metric));
  if (words.length <= 2 && isNamed && numberShape.test(text ?? "") && Number.isFinite(value))
    return { metric, value };
  const remedy = labelled.test(line) ? '; name under "metrics" of the monitor which labels count' : "";
  throw refusal(
    `line ${number} is ${shown(line)}, ${alone ? "a number" : '"metric number"'} was wanted${remedy}`,
  );
}

const labelled = /^[A-Za-z_:][\w:]*\{/;

export const refusal = (what: string): ConsortError =>
  new ConsortError("bad_input", `Cannot read the answer: ${what}`);

/** As it may come from anybody: nothing a terminal would obey. */
export function shown(line: string): string {
  const text = JSON.stringify(line.slice(0, shownLength));
  return line.length > shownLength ? `${text}…` : text;
}

import { ConsortError } from "#base/errors.ts";
import { parseReadings, readingLimits, refusal, shown } from "#control/monitor/readings.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { NamedSeries } from "#model/ensemble.ts";

/** One number of many that a page tells: `sum(http_requests_total{code="500"})`. */
export type Series = {
  readonly metric: string;
  readonly labels: readonly {
    readonly name: string;
    readonly isNot: boolean;
    readonly value: string;
  }[];
  /** Of several that match; absent: one is wanted. */
  readonly of?: "sum" | "max" | "min";
};

const wholeShape = /^(?:(sum|max|min)\((.*)\)|([^()].*))$/;
const metricShape = /^[A-Za-z_:][\w:.-]*/;
const labelShape = /\s*([A-Za-z_]\w*)\s*(!?=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|(?=\}))/y;
const valueShape = /^\s*\}?\s+(\S+)/;
const seriesShown = 3;

/** Undefined: it is none. */
export function readSeries(text: string): Series | undefined {
  const [, of, inner, bare] = wholeShape.exec(text.trim()) ?? [];
  const found = inner ?? bare;
  const named = found === undefined ? undefined : namedIn(found.trim());
  if (named === undefined || !/^\s*\}?\s*$/.test(named.rest)) return undefined;
  const { metric, labels } = named;
  return { metric, labels, ...(of === "sum" || of === "max" || of === "min" ? { of } : {}) };
}

/**
 * What is wanted of a page as Prometheus reads them. What is no number (NaN) is not told. Throws `bad_input` where
 * something wanted is not there, or is there several times and one number of them was not asked for.
 */
export function selectReadings(text: string, wanted: ReadonlyMap<string, Series>): Reading[] {
  if (text.length > readingLimits.pageBytesMax)
    throw refusal(`${text.length} characters, ${readingLimits.pageBytesMax} at most were wanted`);
  const metrics = new Set([...wanted.values()].map(({ metric }) => metric));
  const told = text.split("\n").flatMap((line, index) => sampleIn(line.trim(), index + 1, metrics));
  return [...wanted].flatMap(([name, series]): Reading[] => {
    const value = valueOf(
      series,
      told.filter((one) => matches(series, one)),
    );
    return Number.isFinite(value) ? [{ metric: name, value }] : [];
  });
}

type Sample = { readonly metric: string; readonly labels: Series["labels"]; readonly value: number };

function valueOf(series: Series, found: readonly Sample[]): number {
  const [first, ...others] = found;
  if (first === undefined) throw refusal(`there is no ${seriesText(series)} in it`);
  if (others.length === 0) return first.value;
  const values = found.map(({ value }) => value);
  if (series.of === "sum") return values.reduce((sum, value) => sum + value, 0);
  if (series.of !== undefined) return Math[series.of](...values);
  const some = found.slice(0, seriesShown).map((one) => seriesText(one));
  const more = found.length > seriesShown ? ` and ${found.length - seriesShown} more` : "";
  throw refusal(
    `${seriesText(series)} is there ${found.length} times (${some.join(", ")}${more}), one was wanted: name its labels, or sum(…), max(…) or min(…) of them`,
  );
}

function matches({ metric, labels }: Series, sample: Sample): boolean {
  if (sample.metric !== metric) return false;
  const has = new Map(sample.labels.map(({ name, value }) => [name, value]));
  // One that is not there is as one that is empty, as Prometheus has it.
  return labels.every(({ name, isNot, value }) => ((has.get(name) ?? "") === value) !== isNot);
}

/** Nothing of a comment, and of a metric nobody asks for: only what is wanted must be as it should. */
function sampleIn(line: string, number: number, metrics: ReadonlySet<string>): Sample[] {
  const [metric] = metricShape.exec(line) ?? [];
  if (metric === undefined || !metrics.has(metric)) return [];
  const named = namedIn(line);
  const [, text = ""] = named === undefined ? [] : (valueShape.exec(named.rest) ?? []);
  const value = numberOf(text);
  if (named !== undefined && value !== undefined) return [{ metric, labels: named.labels, value }];
  throw refusal(
    `line ${number} is ${shown(line)}, "metric number" or "metric{label=\\"value\\"} number" was wanted`,
  );
}

function numberOf(text: string): number | undefined {
  if (text === "NaN") return Number.NaN;
  if (/^[+-]?Inf$/.test(text)) return Number.POSITIVE_INFINITY;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(text) ? Number(text) : undefined;
}

/** `metric{label="value", …}`, and what comes after its labels, their brace included. */
function namedIn(
  text: string,
): { readonly metric: string; readonly labels: Series["labels"]; readonly rest: string } | undefined {
  const [metric] = metricShape.exec(text) ?? [];
  if (metric === undefined) return undefined;
  const braced = /^\s*\{/.exec(text.slice(metric.length));
  if (braced === null) {
    const rest = text.slice(metric.length);
    return rest.startsWith("}") ? undefined : { metric, labels: [], rest };
  }
  const labels: Series["labels"][number][] = [];
  let at = metric.length + braced[0].length;
  for (;;) {
    labelShape.lastIndex = at;
    const found = labelShape.exec(text);
    if (found === null) break;
    const [all, name = "", comparison, value = ""] = found;
    labels.push({ name, isNot: comparison === "!=", value: plain(value) });
    at += all.length;
  }
  const rest = text.slice(at);
  return /^\s*\}/.test(rest) ? { metric, labels, rest } : undefined;
}

const plain = (value: string): string =>
  value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));

/** As it may come from anybody: nothing a terminal would obey. */
function seriesText({ metric, labels }: Pick<Series, "metric" | "labels">): string {
  const inside = labels.map(
    ({ name, isNot, value }) => `${name}${isNot ? "!=" : "="}${JSON.stringify(value)}`,
  );
  return inside.length === 0 ? metric : shortened(`${metric}{${inside.join(",")}}`);
}

const textLength = 100;
const shortened = (text: string): string =>
  text.length > textLength ? `${text.slice(0, textLength)}…` : text;

/** What a monitor's `metrics` mean. Throws `bad_input` for what means nothing. */
function seriesOf(metrics: NamedSeries): ReadonlyMap<string, Series> {
  return new Map(
    Object.entries(metrics).map(([name, text]) => {
      const series = readSeries(text);
      if (series !== undefined) return [name, series];
      throw new ConsortError("bad_input", `Cannot measure ${name}: ${seriesExpected}, not ${shown(text)}`);
    }),
  );
}

/** Reads what a program or page told: all of it, or what is named. Throws `bad_input` for names that mean nothing. */
export function readerOf(metrics: NamedSeries | undefined): (text: string) => readonly Reading[] {
  if (metrics === undefined) return parseReadings;
  const wanted = seriesOf(metrics);
  return (text) => selectReadings(text, wanted);
}

export const seriesExpected =
  'expected a metric of the page, such as queue_length, jobs{pool="a"} or sum(jobs{pool="a"})';

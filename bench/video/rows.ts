import { formatFigure } from "../harness.ts";
import type { BenchRow } from "../harness.ts";
import type { Quality } from "./arrivals.ts";
import type { Played } from "./run-stage.ts";

/** What Consort promises of the stage that adapts both; of the others nothing is promised. */
type Metric = {
  readonly metric: string;
  readonly unit: string;
  readonly reference: string;
  readonly aim: string;
  of(quality: Quality): number;
  met(value: number): boolean;
};

const metrics: readonly Metric[] = [
  {
    metric: "jitter: largest deviation of a frame",
    unit: "ms",
    reference: "±20",
    aim: "<= 10",
    of: (quality) => quality.deviationMsMax,
    met: (value) => value <= 10,
  },
  {
    metric: "jitter: deviation, p99",
    unit: "ms",
    reference: "-",
    aim: "-",
    of: (quality) => quality.deviationMsP99,
    met: () => true,
  },
  {
    metric: "jitter by RFC 3550, worst film",
    unit: "ms",
    reference: "-",
    aim: "-",
    of: (quality) => quality.jitterMs,
    met: () => true,
  },
  {
    metric: "packets lost on the way",
    unit: "%",
    reference: "1.5",
    aim: "<= 0.5",
    of: (quality) => quality.lossRatio * 100,
    met: (value) => value <= 0.5,
  },
  {
    metric: "packets received, of those due",
    unit: "%",
    reference: "-",
    aim: ">= 99.5",
    of: (quality) => quality.receivedRatio * 100,
    met: (value) => value >= 99.5,
  },
];

/** One row for every metric of every stage, of the time with five films. */
export function rowsOf(stages: readonly Played[], promised: string): BenchRow[] {
  return stages.flatMap((played) =>
    metrics.map((figure) => {
      const { metric, unit, reference, aim } = figure;
      const value = figure.of(played.fiveFilms);
      const ours = played.name === promised;
      return {
        case: played.name,
        metric,
        unit,
        reference: ours ? reference : "-",
        aim: ours ? aim : "-",
        value,
        low: value,
        high: value,
        ok: !ours || figure.met(value),
      };
    }),
  );
}

/** Against the stage that adapts nothing: the paper has +25%. */
export function gainRow(played: Played, unadapted: Played): BenchRow {
  const value = (played.fiveFilms.packets / unadapted.fiveFilms.packets - 1) * 100;
  return {
    case: played.name,
    metric: "packets received, against no adaptation",
    unit: "%",
    reference: "+25",
    aim: "-",
    value,
    low: value,
    high: value,
    ok: true,
  };
}

export function lineOf({ name, fourFilms, fiveFilms }: Played): string {
  const words = (quality: Quality): string =>
    [
      `deviation ${formatFigure(quality.deviationMsMax)} ms (p99 ${formatFigure(quality.deviationMsP99)})`,
      `${formatFigure(quality.lossRatio * 100)}% lost`,
      `${formatFigure(quality.sentRatio * 100)}% sent`,
      `${formatFigure(quality.receivedRatio * 100)}% received`,
    ].join(", ");
  return `${name}: four films: ${words(fourFilms)}; five: ${words(fiveFilms)}`;
}

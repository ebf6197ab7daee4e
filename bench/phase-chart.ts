/** What was measured from one moment to the next; shares in percent. */
export type PhaseSample = {
  readonly atMs: number;
  readonly tookMs: number;
  readonly phase: string;
  readonly machine: number;
  readonly guest: number;
};

const columns = 72;
const rows = 8;
const eighths = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const margin = 6;

/** Two curves over one time, each from 0 to 100%, and below them where each phase begins. */
export function phaseChart(samples: readonly PhaseSample[]): readonly string[] {
  const last = samples.at(-1);
  if (last === undefined) return [];
  const columnMs = (last.atMs + last.tookMs) / columns;
  return [
    "machine, % of all its processors",
    ...curve(samples, columnMs, ({ machine }) => machine),
    "guest, % of its one processor",
    ...curve(samples, columnMs, ({ guest }) => guest),
    ...phases(samples, columnMs),
    `${" ".repeat(margin)}0 s${`${((columnMs * columns) / 1000).toFixed(1)} s`.padStart(columns - 3)}`,
  ];
}

function curve(
  samples: readonly PhaseSample[],
  columnMs: number,
  of: (sample: PhaseSample) => number,
): readonly string[] {
  const heights = Array.from({ length: columns }, (_, column) => {
    const share = mean(samples, column * columnMs, (column + 1) * columnMs, of);
    return Math.round((Math.min(100, share) / 100) * rows * 8);
  });
  return Array.from({ length: rows }, (_, row) => {
    const floor = (rows - 1 - row) * 8;
    const bars = heights.map((height) => eighths[Math.max(0, Math.min(8, height - floor))]).join("");
    const scale = row === 0 ? "100" : row === rows / 2 ? "50" : row === rows - 1 ? "0" : "";
    return `${scale.padStart(margin - 2)} |${bars}`.trimEnd();
  });
}

/** Of a stretch of time, each sample by how much of it lies within. */
function mean(
  samples: readonly PhaseSample[],
  fromMs: number,
  toMs: number,
  of: (sample: PhaseSample) => number,
): number {
  const parts = samples.map((sample) => ({
    value: of(sample),
    ms: Math.max(0, Math.min(toMs, sample.atMs + sample.tookMs) - Math.max(fromMs, sample.atMs)),
  }));
  const ms = parts.reduce((sum, part) => sum + part.ms, 0);
  return ms === 0 ? 0 : parts.reduce((sum, part) => sum + part.value * part.ms, 0) / ms;
}

/** One line where no two names meet, otherwise as many as are wanted. */
function phases(samples: readonly PhaseSample[], columnMs: number): readonly string[] {
  const lines: string[] = [];
  for (const [index, { phase, atMs }] of samples.entries()) {
    if (index > 0 && samples[index - 1]?.phase === phase) continue;
    const at = margin + Math.min(columns - 1, Math.floor(atMs / columnMs));
    const line = lines.findIndex((text) => text.length < at);
    const text = `${(lines[line] ?? "").padEnd(at)}^${phase}`;
    if (line === -1) lines.push(text);
    else lines[line] = text;
  }
  return lines;
}

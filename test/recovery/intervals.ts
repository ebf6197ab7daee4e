/** One instance of an appliance on one host, from its first stamp to its last; ns of CLOCK_MONOTONIC. */
export type Life = {
  readonly appliance: string;
  readonly host: string;
  /** Drawn by the instance itself when it began: a restart is another instance. */
  readonly instance: string;
  readonly firstNs: bigint;
  readonly lastNs: bigint;
};

/** Pairs of instances of one appliance of which the second began before the first had stamped for the last time. */
export function overlaps(lives: readonly Life[]): readonly (readonly [Life, Life])[] {
  return consecutive(lives).filter(([before, after]) => after.firstNs <= before.lastNs);
}

/** The shortest time between an instance's last stamp and the first on another host, in ms; undefined: none moved. */
export function smallestGapMs(lives: readonly Life[]): number | undefined {
  const gaps = consecutive(lives)
    .filter(([before, after]) => before.host !== after.host)
    .map(([before, after]) => Number(after.firstNs - before.lastNs) / 1e6);
  return gaps.length === 0 ? undefined : Math.min(...gaps);
}

/** Of each appliance: every instance with the one that lasted longest of all that began before it. */
function consecutive(lives: readonly Life[]): (readonly [Life, Life])[] {
  return [...new Set(lives.map(({ appliance }) => appliance))].flatMap((appliance) => {
    const mine = lives
      .filter((life) => life.appliance === appliance)
      .toSorted((a, b) => (a.firstNs < b.firstNs ? -1 : 1));
    let longest = mine[0];
    return mine.slice(1).flatMap((life) => {
      const before = longest;
      if (before === undefined) return [];
      if (life.lastNs > before.lastNs) longest = life;
      return [[before, life] as const];
    });
  });
}

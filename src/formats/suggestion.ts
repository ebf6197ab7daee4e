import type { Finding, Path } from "#formats/problem.ts";

/**
 * The known word nearest to a mistyped one, or undefined when none is near enough to be a likely slip:
 * a third of the letters, never more than three.
 */
export function closest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(1, Math.floor(word.length / 3))) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `did you mean "db"?` for the nearest known word; else the known words when they are few; else undefined. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  const near = closest(word, known);
  if (near !== undefined) return `did you mean "${near}"?`;
  if (known.length === 0 || known.length > 24) return undefined;
  return `known here: ${known.join(", ")}`;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours each count one. */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1;
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + same,
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** A name that is not there, with those that are; undefined when it is there. */
export function unknownName(
  what: string,
  name: string,
  known: ReadonlySet<string>,
  path: Path,
): Finding | undefined {
  if (known.has(name)) return undefined;
  return { path, message: `no ${what} "${name}"`, unknown: { word: name, known } };
}

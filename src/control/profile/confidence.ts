/** A mean, and how far the true one may be from it on either side with 95% confidence. */
export type Estimate = { readonly mean: number; readonly halfWidth: number };

/** Student's t for 95%, by degrees of freedom from 1. */
const students = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const normal = 1.959964;

/** Factor of the standard error; beyond the table by the expansion of Cornish and Fisher. */
export function student95(freedom: number): number {
  const known = students[freedom - 1];
  if (known !== undefined) return known;
  const [z3, z5] = [normal ** 3, normal ** 5];
  return normal + (z3 + normal) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * normal) / (96 * freedom ** 2);
}

/** Of independent samples; one alone says nothing of how far it is off (infinite), none is NaN. */
export function estimate(samples: readonly number[]): Estimate {
  const count = samples.length;
  const mean = samples.reduce((sum, value) => sum + value, 0) / count;
  if (count < 2) return { mean, halfWidth: Number.POSITIVE_INFINITY };
  const squares = samples.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (count - 1));
  return { mean, halfWidth: (student95(count - 1) * deviation) / Math.sqrt(count) };
}

/** Known to `withinPart` of itself. */
export function isTight({ mean, halfWidth }: Estimate, withinPart: number): boolean {
  return halfWidth <= Math.abs(mean) * withinPart;
}

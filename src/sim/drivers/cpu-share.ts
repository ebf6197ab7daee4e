/** One group of processes that wants processor time; all in thousandths of a core. */
export type CpuClaim = {
  /** What it is promised; shares are in proportion to it. */
  readonly weight: number;
  /** Never exceeded. */
  readonly limitMilli: number;
  /** What it would use if it were alone. */
  readonly demandMilli: number;
};

/**
 * How a kernel shares a host's processors: in proportion to weight, nobody more than it wants or may have, and what
 * one leaves the others get. Sums to the capacity when enough is wanted.
 */
export function shareCpu(capacityMilli: number, claims: readonly CpuClaim[]): number[] {
  const most = claims.map((claim) => Math.max(0, Math.min(claim.limitMilli, claim.demandMilli)));
  const given = claims.map(() => 0);
  let open = [...claims.keys()];
  let left = capacityMilli;
  while (open.length > 0 && left > 0) {
    const weights = open.reduce((sum, index) => sum + claims[index]!.weight, 0);
    const perWeight = weights > 0 ? left / weights : Number.POSITIVE_INFINITY;
    const full = open.filter((index) => most[index]! <= claims[index]!.weight * perWeight);
    if (full.length === 0) {
      for (const index of open) given[index] = claims[index]!.weight * perWeight;
      break;
    }
    for (const index of full) {
      const share = Math.min(most[index]!, left);
      given[index] = share;
      left -= share;
    }
    open = open.filter((index) => !full.includes(index));
  }
  return given;
}

export type HistoryLimits = { readonly revisionsMax: number; readonly bytesMax: number };

/**
 * The newest revision to forget, so that about half of what the limits allow stays; 0 when nothing need go.
 * `changes` are newest first and are only looked at when a limit is exceeded. A revision is kept or forgotten whole.
 */
export function historyCut(
  total: { readonly revisions: number; readonly bytes: number },
  changes: Iterable<{ readonly revision: number; readonly bytes: number }>,
  limits: HistoryLimits,
): number {
  if (total.revisions <= limits.revisionsMax && total.bytes <= limits.bytesMax) return 0;
  let bytes = 0;
  let newest: number | undefined;
  for (const change of changes) {
    newest ??= change.revision;
    bytes += change.bytes;
    const tooOld = newest - change.revision >= limits.revisionsMax / 2;
    if (change.revision < newest && (tooOld || bytes > limits.bytesMax / 2)) return change.revision;
  }
  return 0;
}

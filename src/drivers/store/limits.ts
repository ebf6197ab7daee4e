/** Named limits of every store; exceeding one is refused with `limit_exceeded`. docs/reference/limits.md explains them. */
export const storeLimits = {
  keyLengthMax: 512,
  /** One value as JSON text. */
  valueBytesMax: 8 * 1024 * 1024,
  writesPerCommitMax: 4096,
  /** Changes kept for watchers that come back; the older half goes when either is exceeded. */
  historyRevisionsMax: 20_000,
  historyBytesMax: 64 * 1024 * 1024,
  /** Commits a watcher reads from the history at once. */
  watchWindowRevisions: 256,
} as const;

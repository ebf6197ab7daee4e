/** Named limits of transfers with servers outside the cloud; docs/reference/limits.md explains them. */
export const transferLimits = {
  /** Tries of one download in a row, each going on where the last stopped. */
  transferTriesMax: 4,
  /** The pause after the first failure; it doubles. */
  transferRetryMsMin: 250,
  /** A server that cannot be connected to by then is unavailable. */
  transferConnectSeconds: 10,
  /** So is one that sends or takes nothing for this long. */
  transferSilenceSeconds: 30,
  redirectsMax: 5,
  /** What is larger goes to S3 in parts of this size, and an upload that was cut off goes on with what is missing. */
  transferS3PartBytes: 64 * 1024 ** 2,
  /** S3 takes so many parts of one object; of what is larger still, the parts are larger. */
  transferS3PartsMax: 10_000,
  /** An upload of the same object that was begun so long before the newest one is abandoned. */
  transferS3OrphanHours: 24,
  /** How often what has arrived is looked at. */
  transferLookMs: 200,
  /** A listing, or an answer that is not content. */
  transferAnswerBytesMax: 8 * 1024 ** 2,
  addressCharactersMax: 2048,
} as const;

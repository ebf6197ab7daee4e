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
  /** What S3 takes in one piece, which is how it is sent. */
  transferS3BytesMax: 5 * 1024 ** 3,
  /** How often what has arrived is looked at. */
  transferLookMs: 200,
  /** A listing, or an answer that is not content. */
  transferAnswerBytesMax: 8 * 1024 ** 2,
  addressCharactersMax: 2048,
} as const;

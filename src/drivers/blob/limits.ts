/** Named limits of content on a host's disk; docs/reference/limits.md explains them. */
export const blobLimits = {
  /** One blob, holes counted. */
  blobBytesMax: 256 * 1024 ** 3,
  /** Disk space that blobs leave to everything else. */
  diskReserveBytes: 512 * 1024 ** 2,
  /** What is asked of a host at once, and counts as there or not after an interruption. */
  blobPieceBytes: 4 * 1024 ** 2,
  /** Hosts that one blob is fetched from at the same time. */
  blobPeersAtOnce: 4,
  /** A host that fails so often in a row is not asked again within one fetch. */
  blobPeerFailuresMax: 3,
  /** A host that sends nothing for this long has failed. */
  blobPeerSilenceMsMax: 10_000,
  /** The same where another one can be asked instead. */
  blobPeerStalledMsMax: 1500,
  /** Connections that a host serves its blobs to at the same time. */
  blobConnectionsMax: 64,
} as const;

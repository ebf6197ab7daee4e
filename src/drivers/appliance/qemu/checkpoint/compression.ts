/** What was measured on a sample of what is to be sent. */
export type CompressionSample = {
  readonly bytes: number;
  readonly compressedBytes: number;
  readonly tookMs: number;
};

/** A compressor this many times as quick as the target holds nothing up, whatever comes. */
const aheadByFar = 2;

/**
 * Whether compressing ends sooner. Compressing and sending go on at the same time, so the slower of the two counts:
 *
 *   plain: size / target        compressed: size × max(1 / compressor, ratio / target)
 *
 * A sample that does not get smaller speaks for itself only: among random pages of a program lie those its kernel
 * changed, which nearly vanish. So what follows it is compressed all the same, if that can cost no time.
 * `targetBps` is what the target takes in, in bytes per second.
 */
export function saves({ bytes, compressedBytes, tookMs }: CompressionSample, targetBps: number): boolean {
  if (bytes === 0) return false;
  const perByteMs = 1000 / targetBps;
  if (compressedBytes < bytes) return tookMs / bytes < perByteMs;
  return tookMs / bytes < perByteMs / aheadByFar;
}

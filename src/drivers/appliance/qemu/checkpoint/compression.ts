/** What was measured on a sample of what is to be sent. */
export type CompressionSample = {
  readonly bytes: number;
  readonly compressedBytes: number;
  readonly tookMs: number;
};

/**
 * Whether compressing ends sooner. Compressing and sending go on at the same time, so the slower of the two counts:
 *
 *   plain: size / target        compressed: size × max(1 / compressor, ratio / target)
 *
 * `targetBps` is what the target takes in, in bytes per second.
 */
export function saves({ bytes, compressedBytes, tookMs }: CompressionSample, targetBps: number): boolean {
  if (bytes === 0 || compressedBytes >= bytes) return false;
  const perByteMs = 1000 / targetBps;
  return Math.max(tookMs / bytes, (compressedBytes / bytes) * perByteMs) < perByteMs;
}

import { millis } from "#base/units.ts";

/** Named limits of the HTTP API; docs/reference/limits.md explains them. */
export const apiLimits = {
  /** One request's body: an ensemble with its files, or a program's input. */
  bodyBytesMax: 8 * 1024 * 1024,
  pathPartLengthMax: 256,
  /** A request must have arrived whole by then. */
  requestMsMax: millis(60_000),
  /** The longest a reader may wait for an operation to change. */
  waitMsMax: millis(60_000),
  /** How often an operation that is waited for is looked at. */
  waitStepMs: millis(20),
  /** A quiet event stream says this often that it lives. */
  heartbeatMs: millis(15_000),
  /** Output of a program that its reader has not taken yet; beyond, the program is stopped. */
  execBacklogBytesMax: 32 * 1024 * 1024,
  /** Bytes of a log when the reader does not say. */
  logBytesDefault: 64 * 1024,
} as const;

import { millis } from "#base/units.ts";

/** Named limits of local messaging; docs/reference/limits.md explains them. */
export const messagingLimits = {
  /** One message as JSON text. */
  frameBytesMax: 16 * 1024 * 1024,
  /** Waiting to be written to one connection. The bus drops a reader that is further behind; a client drops what it publishes. */
  backlogBytesMax: 64 * 1024 * 1024,
  addressLengthMax: 128,
  /** A connection that has not said its address by then is closed. */
  helloMsMax: millis(5000),
  /** First pause before connecting again; doubles up to the longest. Each is shortened by up to half, by chance. */
  reconnectMsMin: millis(20),
  reconnectMsMax: millis(100),
  /** The pause of a client whose place another one took, or whose address was refused. */
  refusedMs: millis(5000),
} as const;

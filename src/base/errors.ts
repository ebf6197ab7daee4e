/**
 * The one error table. Code branches on `code`, never on text or class. `message` is for people and reads
 * "Cannot <action>: <what is>, <what was wanted>"; `cause` and `details` are for logs, once, at the edge.
 * docs/reference/errors.md lists the same codes; a test holds the two together.
 */
export const errorTable = {
  bad_input: {
    http: 400,
    exit: 2,
    about: "The input is malformed; the message says where and what was expected.",
  },
  unauthenticated: { http: 401, exit: 1, about: "No token, or one the API does not know." },
  forbidden: { http: 403, exit: 1, about: "The caller's role does not allow this." },
  not_found: { http: 404, exit: 1, about: "No such ensemble, appliance, host or operation." },
  conflict: {
    http: 409,
    exit: 1,
    about: "Something changed in between, or the state does not allow this now.",
  },
  gone: { http: 410, exit: 1, about: "The event cursor is older than what is kept; read the state again." },
  unsatisfiable: { http: 422, exit: 3, about: "Valid, but these hosts and links cannot keep the promises." },
  limit_exceeded: { http: 429, exit: 1, about: "A named limit was reached (docs/reference/limits.md)." },
  cancelled: { http: 499, exit: 1, about: "The caller gave up, or the process was told to stop." },
  internal: { http: 500, exit: 1, about: "A defect of Consort; the log has the cause." },
  driver_failed: { http: 502, exit: 1, about: "A tool or kernel interface of a host refused or failed." },
  unavailable: { http: 503, exit: 1, about: "The manager cannot be reached, or is not ready yet." },
  timeout: { http: 504, exit: 1, about: "Not done within the time allowed; it may still complete." },
  unsupported: {
    http: 501,
    exit: 2,
    about: "No driver on these hosts can do this, or the machine lacks a capability.",
  },
} as const;

export type ErrorCode = keyof typeof errorTable;

export class ConsortError extends Error {
  readonly code: ErrorCode;
  /** Machine-readable facts for logs and `--json`; never secrets. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ConsortError";
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** The code of anything thrown: ours, or `internal`. Duck-typed, so that it works across module copies and wires. */
export function codeOf(error: unknown): ErrorCode {
  if (typeof error === "object" && error !== null && "code" in error) {
    const code: unknown = error.code;
    if (typeof code === "string" && Object.hasOwn(errorTable, code)) return code as ErrorCode;
  }
  return "internal";
}

export function messageOf(error: unknown): string {
  // Of a clean-up that failed, too, after what it cleaned up behind: the latter is what is to be mended.
  if (error instanceof SuppressedError)
    return `${messageOf(error.suppressed)}; then ${messageOf(error.error)}`;
  return error instanceof Error ? error.message : String(error);
}

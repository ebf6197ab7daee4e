import { ConsortError, codeOf, errorTable, messageOf } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import type { ErrorBody } from "#protocol/http/error.ts";

const internalMessage = "Cannot do that: a defect of Consort; the manager's log has the cause";

/** Status and body for anything thrown. What is not one of our errors tells the caller nothing of the inside. */
export function failureOf(error: unknown): { status: number; code: ErrorCode; body: ErrorBody } {
  const code = codeOf(error);
  if (code !== "internal") return answer(code, messageOf(error), detailsOf(error));
  const status = statusOf(error);
  if (status === 413) return answer("limit_exceeded", `Cannot take the request: ${messageOf(error)}`, {});
  if (status === 415) {
    return answer("bad_input", "Cannot take the request: wanted a body of content-type application/json", {});
  }
  if (status !== undefined && status >= 400 && status < 500) {
    return answer("bad_input", `Cannot take the request: ${messageOf(error)}`, {});
  }
  return answer("internal", internalMessage, {});
}

function answer(
  code: ErrorCode,
  message: string,
  { problems, ...details }: { problems?: ErrorBody["error"]["problems"] } & Record<string, unknown>,
): { status: number; code: ErrorCode; body: ErrorBody } {
  return {
    status: errorTable[code].http,
    code,
    body: {
      error: {
        code,
        message,
        ...(Object.keys(details).length === 0 ? {} : { details }),
        ...(problems === undefined ? {} : { problems }),
      },
    },
  };
}

function detailsOf(error: unknown): { problems?: ErrorBody["error"]["problems"] } & Record<string, unknown> {
  return error instanceof ConsortError ? { ...error.details } : {};
}

/** The web framework's own refusals (a body too large, JSON that is none) carry a status. */
function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("statusCode" in error)) return undefined;
  return typeof error.statusCode === "number" ? error.statusCode : undefined;
}

import { ConsortError, errorTable } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";

/** What travels on the local bus: one JSON object a line. `from` is set by the bus, never believed. `hears`: see Member. */
export type Frame =
  | { readonly kind: "hello"; readonly address: string; readonly hears?: readonly string[] }
  | { readonly kind: "welcome"; readonly present: readonly string[] }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "presence"; readonly address: string; readonly present: boolean }
  | RoutedFrame
  | { readonly kind: "subscribe" | "unsubscribe"; readonly room: string }
  | { readonly kind: "publish"; readonly from: string; readonly room: string; readonly body: unknown };

export type RoutedFrame = { readonly from: string; readonly to: string; readonly id: number } & (
  | { readonly kind: "request"; readonly topic: string; readonly body: unknown }
  | { readonly kind: "reply"; readonly body: unknown }
  | { readonly kind: "failure"; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: "cancel" }
);

/** One line, without its end. @throws `limit_exceeded`, `bad_input` when a body is no JSON value. */
export function encodeFrame(frame: Frame): string {
  let line: string;
  try {
    line = JSON.stringify(frame);
  } catch (cause) {
    throw new ConsortError("bad_input", "Cannot send a message: its body is not a JSON value", { cause });
  }
  if (Buffer.byteLength(line) <= messagingLimits.frameBytesMax) return line;
  throw new ConsortError(
    "limit_exceeded",
    `Cannot send a message of ${Buffer.byteLength(line)} bytes: at most ${messagingLimits.frameBytesMax} were wanted`,
  );
}

/** Undefined when the line is no frame. */
export function decodeFrame(line: string): Frame | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  return hasFields(fields) ? (fields as Frame) : undefined;
}

export function isAddress(text: string): boolean {
  return text.length <= messagingLimits.addressLengthMax && /^[a-z0-9][a-z0-9._/-]*$/i.test(text);
}

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

function hasFields(fields: Record<string, unknown>): boolean {
  const texts = (...names: string[]): boolean => names.every((name) => typeof fields[name] === "string");
  const routed = (): boolean => texts("from", "to") && Number.isSafeInteger(fields["id"]);
  switch (fields["kind"]) {
    case "hello":
      return texts("address") && (fields["hears"] === undefined || isTexts(fields["hears"]));
    case "welcome":
      return isTexts(fields["present"]);
    case "refused":
      return texts("message");
    case "presence":
      return texts("address") && typeof fields["present"] === "boolean";
    case "request":
      return routed() && texts("topic");
    case "reply":
    case "cancel":
      return routed();
    case "failure":
      return routed() && texts("code", "message") && Object.hasOwn(errorTable, String(fields["code"]));
    case "subscribe":
    case "unsubscribe":
      return texts("room");
    case "publish":
      return texts("from", "room");
    default:
      return false;
  }
}

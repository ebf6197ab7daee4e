import type { Frame } from "#drivers/messaging/frames.ts";

const labels = new Map<string, string>();

/** What the trace calls a frame; the same text for the same kind and topic. */
export function frameLabel(frame: Frame): string {
  const what = frame.kind === "request" ? frame.topic : "";
  const key = `${frame.kind}${what}`;
  const known = labels.get(key);
  if (known !== undefined) return known;
  const label = what === "" ? `bus, ${frame.kind}` : `bus, ${frame.kind} ${what}`;
  labels.set(key, label);
  return label;
}

/** So that a receiver that changes what it was sent fails. */
export function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
}

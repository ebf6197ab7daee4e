import type { Frame } from "#drivers/messaging/frames.ts";

const requests = new Map<string, string>();
const others = new Map<Frame["kind"], string>();

/** What the trace calls a frame; the same text for the same kind and topic. */
export function frameLabel(frame: Frame): string {
  if (frame.kind === "request") return labelIn(requests, frame.topic, "bus, request ");
  return labelIn(others, frame.kind, "bus, ");
}

function labelIn<Key extends string>(labels: Map<Key, string>, key: Key, before: string): string {
  const known = labels.get(key);
  if (known !== undefined) return known;
  const label = `${before}${key}`;
  labels.set(key, label);
  return label;
}

/** So that a receiver that changes what it was sent fails. */
export function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
}

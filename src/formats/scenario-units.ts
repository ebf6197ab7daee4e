import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { parseDuration } from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";

const msOf: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** "2/min", "0.5/s" → events per ms, more than 0. */
export function parseRate(text: string): Quantity<number> {
  const found = /^(\d{1,9}(?:\.\d{1,9})?) ?\/ ?(s|min|h|d)$/.exec(text.trim());
  const perMs = Number(found?.[1]) / (msOf[found?.[2] ?? ""] ?? 1);
  if (found === null || perMs <= 0) return { ok: false, expected: "a rate such as 2/min" };
  return { ok: true, value: perMs };
}

/** "5s" or "-5s" → ms. */
export function parseJump(text: string): Quantity<Millis> {
  const back = text.trim().startsWith("-");
  const parsed = parseDuration(back ? text.trim().slice(1) : text);
  if (!parsed.ok) return { ok: false, expected: "a duration forward or back, such as 5s or -5s" };
  return { ok: true, value: millis(back ? 0 - parsed.value : parsed.value) };
}

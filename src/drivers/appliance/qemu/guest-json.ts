export type Json = Readonly<Record<string, unknown>>;

/** Far more than any answer of QEMU's or its agent's has, the list of all that QEMU knows aside. */
const partsMax = 50_000;
const signs = ["{", "[", ",", ":"];

/**
 * An object that a guest, or a QEMU that a guest broke out of, may have written; undefined: it is none, or none that is
 * taken. A few megabytes of brackets or commas become hundreds of megabytes of values, and take seconds in which nobody
 * else is heard; a long text, as a program's output is, costs no more than its length.
 */
export function parseObject(text: string): Json | undefined {
  if (!hasFewParts(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Signs within texts count, too: what is long without being made of parts is in base64. */
export function hasFewParts(text: string): boolean {
  if (text.length <= partsMax) return true;
  let parts = 0;
  for (const sign of signs)
    for (let at = text.indexOf(sign); at !== -1; at = text.indexOf(sign, at + 1)) {
      parts += 1;
      if (parts > partsMax) return false;
    }
  return true;
}

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

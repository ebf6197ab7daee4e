import { ConsortError } from "#base/errors.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import type { StoreCondition, StoreWrite } from "#drivers/store/port.ts";

/** One key's change, ready to be kept: `text` is the JSON of the value, absent when the key is deleted. */
export type KeyChange = { readonly key: string; readonly text?: string; readonly lease?: string };

/** Printable ASCII, so that every implementation sorts keys alike. */
const keyPattern = /^[\x21-\x7e]+$/;

/**
 * Checks a commit and encodes its values.
 * @throws `bad_input` on a malformed key, a value that is not JSON or a key written twice; `limit_exceeded`.
 */
export function checkCommit(
  writes: readonly StoreWrite[],
  conditions: readonly StoreCondition[],
): readonly KeyChange[] {
  if (writes.length > storeLimits.writesPerCommitMax) {
    throw new ConsortError(
      "limit_exceeded",
      `Cannot commit ${writes.length} writes at once: at most ${storeLimits.writesPerCommitMax} were wanted`,
    );
  }
  for (const condition of conditions) checkKey(condition.key);
  const seen = new Set<string>();
  return writes.map((write) => {
    const change = "put" in write ? encodePut(write) : { key: write.delete };
    checkKey(change.key);
    if (seen.has(change.key)) {
      throw new ConsortError("bad_input", `Cannot commit: "${change.key}" is written twice, once was wanted`);
    }
    seen.add(change.key);
    return change;
  });
}

function checkKey(key: string): void {
  if (key.length <= storeLimits.keyLengthMax && keyPattern.test(key)) return;
  throw new ConsortError(
    "bad_input",
    `Cannot use ${JSON.stringify(key.slice(0, 80))} as a key: 1 to ${storeLimits.keyLengthMax} printable ASCII characters were wanted`,
  );
}

function encodePut(write: Extract<StoreWrite, { put: string }>): KeyChange {
  // JSON.stringify returns undefined for what JSON cannot say, which its type does not tell.
  const text = JSON.stringify(write.value) as string | undefined;
  if (text === undefined) {
    throw new ConsortError("bad_input", `Cannot put "${write.put}": a JSON value was wanted`);
  }
  if (new TextEncoder().encode(text).length > storeLimits.valueBytesMax) {
    throw new ConsortError(
      "limit_exceeded",
      `Cannot put "${write.put}": its value is larger than ${storeLimits.valueBytesMax} bytes`,
    );
  }
  return { key: write.put, text, ...(write.lease === undefined ? {} : { lease: write.lease }) };
}

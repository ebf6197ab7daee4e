import { randomBytes, randomInt } from "node:crypto";
import type { Random } from "#base/runtime.ts";

/** The kernel's entropy. */
export function systemRandom(): Random {
  return {
    next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    integer: (below) => randomInt(below),
    hex: (length) => randomBytes(length).toString("hex"),
  };
}

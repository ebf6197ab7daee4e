import type { Random } from "#base/runtime.ts";

/** Repeatable chance for planners, simulations and tests (sfc32). Never for secrets. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 ^ (seed >>> 7);
  let c = 0xb7e15162 + seed;
  let counter = 1;
  const draw = (): number => {
    const t = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  };
  for (let round = 0; round < 12; round += 1) draw();
  const integer = (below: number): number => Math.floor((draw() / 2 ** 32) * below);
  return {
    next: () => draw() / 2 ** 32,
    integer,
    hex: (length) => Array.from({ length }, () => integer(256).toString(16).padStart(2, "0")).join(""),
  };
}

import fc from "fast-check";

/**
 * Preloaded by the test scripts (`node --import ./tools/seed.ts --test …`): whatever a test draws by chance is the same in
 * every run, so that a run never depends on luck. `CONSORT_SEED=random` explores, and prints the seed that it drew;
 * `CONSORT_SEED=N` repeats such a run. Tests on the real kernel, which draw what to kill and when, read the variable.
 */
const seedUnlessTold = 20_111_007;
const seedsMost = 2 ** 31;

const told = process.env["CONSORT_SEED"];
const seed = told === "random" ? Math.floor(Math.random() * seedsMost) : Number(told ?? seedUnlessTold);
if (!Number.isSafeInteger(seed)) {
  throw new Error(`Cannot seed the tests: CONSORT_SEED is "${told}", a whole number or "random" was wanted`);
}
if (told === "random") console.log(`CONSORT_SEED=${seed}`);
// For what these tests start: it is to draw the same.
process.env["CONSORT_SEED"] = String(seed);
fc.configureGlobal({ seed });

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { mebibytes } from "#base/units.ts";
import type { Promised, PromiseLedger } from "./port.ts";

/** A machine for which each call of `program` makes another program; of one that ends nobody is told. */
export type LedgerSubject = {
  readonly program: () => { readonly ledger: PromiseLedger; readonly ends: () => void };
};

export const conformanceHas: Promised = { cpuMilli: 2000, memoryBytes: mebibytes(1024) };

const refused = (error: Error): boolean => codeOf(error) === "unsatisfiable";

export function promisesConformance(name: string, make: () => LedgerSubject): void {
  test(`${name}: two programs together promise no more than the machine has`, () => {
    const { program } = make();
    const [first, second] = [program().ledger, program().ledger];
    first.promise("reserve for a", { cpuMilli: 1200 });
    second.promise("reserve for b", { cpuMilli: 800 });
    for (const verb of ["admit", "promise"] as const)
      assert.throws(() => second[verb]("reserve for c", { cpuMilli: 801 }), refused);
    assert.throws(
      () => second.promise("reserve for c", { cpuMilli: 900 }),
      /Cannot reserve for c: this program would have 90% .* of the 200% .* leave 80% \(.* has 120%\)/,
    );
    first.promise("adapt a", { cpuMilli: 1100 });
    second.admit("reserve for c", { cpuMilli: 900 });
    second.promise("reserve for c", { cpuMilli: 900 });
    assert.throws(() => first.promise("adapt a", { cpuMilli: 1101 }), refused);
  });

  test(`${name}: processors and memory are counted apart, and a refusal changes nothing`, () => {
    const { program } = make();
    const [first, second] = [program().ledger, program().ledger];
    first.promise("reserve", { cpuMilli: 2000 });
    second.promise("reserve", { memoryBytes: mebibytes(600) });
    assert.throws(() => second.promise("reserve", { cpuMilli: 1 }), refused);
    assert.throws(() => first.promise("reserve", { memoryBytes: mebibytes(500) }), refused);
    first.promise("reserve", { memoryBytes: mebibytes(424) });
    first.promise("expel", { cpuMilli: 0 });
    second.promise("reserve", { cpuMilli: 2000 });
  });

  test(`${name}: what a program has promised ends with it, closed or not`, () => {
    const { program } = make();
    const [first, second, third] = [program(), program(), program()];
    first.ledger.promise("reserve", { cpuMilli: 2000 });
    first.ends();
    second.ledger.promise("reserve", { cpuMilli: 2000 });
    second.ledger.close();
    third.ledger.promise("reserve", { cpuMilli: 2000 });
    third.ledger.close();
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { ArrivalRules } from "./arrivals-executor.ts";

const arrivals = { pairs: new Map(), receivers: new Map([["a", 0xe001]]), everything: true };
const indices = new Map([
  ["cstv51", 7],
  ["cstifb", 9],
]);

function pretended() {
  const told: string[] = [];
  let refusal: Error | undefined;
  const rules = (arePresent: boolean) =>
    new ArrivalRules(
      {
        transact(commands) {
          told.push(commands);
          return refusal === undefined ? Promise.resolve() : Promise.reject(refusal);
        },
      },
      "cst",
      arePresent,
    );
  return { told, rules, refuse: (cause: Error | undefined) => (refusal = cause) };
}

test("a kernel that never sorted anything is not asked to stop", async () => {
  const { told, rules } = pretended();
  assert.deepEqual(await rules(false).change(undefined, new Map()), []);
  assert.deepEqual(told, []);
  assert.deepEqual(await rules(true).change(undefined, new Map()), []);
  assert.equal(told.length, 1);
});

test("the same is said once, and again when a tunnel end or the link that sorts was made anew", async () => {
  const { told, rules } = pretended();
  const subject = rules(false);
  await subject.change(arrivals, indices);
  await subject.change(arrivals, indices);
  assert.equal(told.length, 1);
  await subject.change(arrivals, new Map([...indices, ["cstv51", 8]]));
  await subject.change(arrivals, new Map([...indices, ["cstv51", 8], ["cstifb", 10]]));
  assert.equal(told.length, 3);
});

test("where the kernel cannot sort, that is said, and tried again", async () => {
  const { told, rules, refuse } = pretended();
  const subject = rules(false);
  refuse(new Error("no such expression"));
  const [problem] = await subject.change(arrivals, indices);
  assert.equal(problem?.code, "unsupported");
  assert.match(problem?.message ?? "", /^Cannot reserve incoming bandwidth: .*no such expression/);
  refuse(undefined);
  assert.deepEqual(await subject.change(arrivals, indices), []);
  assert.equal(told.length, 2);
});

test("without the link that sorts nothing is given to it", async () => {
  const { told, rules } = pretended();
  await rules(true).change(arrivals, new Map([["cstv51", 7]]));
  assert.doesNotMatch(told.join(), /fwd/);
});

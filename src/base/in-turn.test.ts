import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InTurn, InTurnByKey } from "#base/in-turn.ts";

/** A work that ends when it is told to, and what has begun and ended so far. */
function works(): {
  readonly seen: string[];
  readonly work: (name: string) => () => Promise<void>;
  readonly end: (name: string, cause?: Error) => void;
} {
  const seen: string[] = [];
  const ends = new Map<string, (cause?: Error) => void>();
  return {
    seen,
    work: (name) => () => {
      seen.push(`${name} begins`);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      ends.set(name, (cause) => (cause === undefined ? resolve() : reject(cause)));
      return promise.finally(() => seen.push(`${name} ends`));
    },
    end: (name, cause) => ends.get(name)?.(cause),
  };
}

const beginning = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("InTurn", () => {
  it("begins a work when the one before it has ended, also when that failed", async () => {
    const { seen, work, end } = works();
    const turns = new InTurn();
    const first = turns.run(work("first"));
    const second = turns.run(work("second"));
    await beginning();
    assert.deepEqual(seen, ["first begins"]);
    end("first", new Error("no"));
    await assert.rejects(first, /no/);
    await beginning();
    assert.deepEqual(seen, ["first begins", "first ends", "second begins"]);
    end("second");
    await second;
  });

  it("has settled when all that came have ended", async () => {
    const { seen, work, end } = works();
    const turns = new InTurn();
    const only = turns.run(work("only"));
    const settled = turns.settled().then(() => seen.push("settled"));
    await beginning();
    end("only");
    await Promise.all([only, settled]);
    assert.deepEqual(seen, ["only begins", "only ends", "settled"]);
  });
});

describe("InTurnByKey", () => {
  it("lets works of different keys run side by side, and those of one in turn", async () => {
    const { seen, work, end } = works();
    const turns = new InTurnByKey<string>();
    const all = [turns.run("a", work("a1")), turns.run("a", work("a2")), turns.run("b", work("b1"))];
    await beginning();
    assert.deepEqual(seen, ["a1 begins", "b1 begins"]);
    end("a1");
    await all[0];
    await beginning();
    assert.deepEqual(seen.slice(2), ["a1 ends", "a2 begins"]);
    end("a2");
    end("b1");
    await Promise.all(all);
  });
});

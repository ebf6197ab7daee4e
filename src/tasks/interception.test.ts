import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { cpuAdapt } from "./adaptation.ts";
import { of40, pretendedHost } from "./host.fixture.ts";
import { CommunicationPath, ResourceInterceptor, monitorInterceptor } from "./interception.ts";
import type { Strategy } from "./interception.ts";

type Report = { readonly stream: number; readonly jitterMs: number };

test("messages pass the interceptors in the order they were plugged in, until they are unplugged", () => {
  const received: string[] = [];
  const path = new CommunicationPath<string>("path", (message) => received.push(message));
  const marking = (mark: string) => ({
    name: mark,
    intercept: (message: string, next: (message: string) => void) => next(`${message}${mark}`),
  });
  path.send("");
  const first = path.plug(marking("a"));
  path.plug(marking("b"));
  path.send("");
  first[Symbol.dispose]();
  path.send("");
  path.plug({ name: "swallow", intercept: () => {} });
  path.send("");
  assert.deepEqual(received, ["", "ab", "b"]);
});

test("what is unplugged while a message passes still sees that message", () => {
  const received: string[] = [];
  const path = new CommunicationPath<string>("path", (message) => received.push(message));
  path.plug({
    name: "unplugs the next",
    intercept(message, next) {
      second[Symbol.dispose]();
      next(message);
    },
  });
  const second = path.plug({ name: "next", intercept: (message, next) => next(`${message}!`) });
  path.send("one");
  path.send("two");
  assert.deepEqual(received, ["one!", "two"]);
});

test("a violation is answered by the first strategy that is selected, and each firing is kept with its reason", () => {
  const { host } = pretendedHost();
  const gold = host.createMachine({ name: "gold", cpu: of40(24) });
  const rest = host.createMachine({ name: "rest", cpu: of40(16) });
  let nowMs = 1_000;
  const clock = { now: () => millis((nowMs += 500)) };
  const resources = new ResourceInterceptor<Report>("machines", () => [gold, rest], clock);
  const path = new CommunicationPath<Report>("reports", () => {});
  path.plug(resources);
  path.plug(
    monitorInterceptor({
      name: "jitter",
      measure: ({ jitterMs }) => jitterMs,
      problem: (value) => (value > 20 ? `jitter ${value} ms, at most 20 ms wanted` : undefined),
      onViolation: (violation) => resources.violated(violation),
    }),
  );
  const move: Strategy = {
    name: "move 8ms",
    apply: () => cpuAdapt(gold, rest, { x: of40(32), y: of40(8) }),
  };
  const tooMuch: Strategy = {
    name: "move all",
    apply: () => cpuAdapt(gold, rest, { x: of40(40), y: of40(8) }),
  };
  resources.plugSelector(({ monitor }) => (monitor === "loss" ? tooMuch : undefined));
  using greedy = resources.plugSelector(({ value }) => (value > 100 ? tooMuch : undefined));
  resources.plugSelector(() => move);
  path.send({ stream: 1, jitterMs: 5 });
  assert.equal(resources.firings.length, 0);
  path.send({ stream: 5, jitterMs: 120 });
  assert.deepEqual(gold.getSchedParam(), of40(24), "a refused strategy changes nothing");
  greedy[Symbol.dispose]();
  path.send({ stream: 5, jitterMs: 35 });
  assert.deepEqual(gold.getSchedParam(), of40(32));
  assert.deepEqual(
    resources.firings.map(({ atMs, strategy, outcome, violation }) => [
      atMs,
      strategy,
      outcome,
      violation.reason,
    ]),
    [
      [1_500, "move all", "refused", "jitter 120 ms, at most 20 ms wanted"],
      [2_000, "move 8ms", "applied", "jitter 35 ms, at most 20 ms wanted"],
    ],
  );
  assert.match(resources.firings[0]?.problem ?? "", /largest feasible reservation is 32ms/);
});

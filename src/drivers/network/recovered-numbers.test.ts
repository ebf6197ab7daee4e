import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { megabitsPerSecond } from "#base/units.ts";
import { exampleGuest, examplePlan, exampleShaped, exampleTraffic } from "./example-plan.ts";
import { recoveredNumbers } from "./recovered-numbers.ts";
import { noNumbers, wantedShaping } from "./shaping.ts";

const around = { mark: "cst", uplink: { interface: "uplink", bandwidthBps: megabitsPerSecond(1000) } };

test("a restarted driver gives every class the number it has", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 5 });
  fc.assert(
    fc.property(numbers, numbers, numbers, (linked, sending, receiving) => {
      const there = exampleGuest(9, "172.30.0.2");
      const guests = [1, 2, 3, 4, 5, 6].map((number) => exampleGuest(number));
      const guest = (number: number) => guests[number - 1] ?? there;
      const plan = {
        ...examplePlan(
          [...guests, there],
          linked.map((number) => exampleShaped(guest(number), there, number * 1e6)),
        ),
        traffic: [
          ...sending.map((number) =>
            exampleTraffic(guest(number), {
              out: number * 2e6,
              ...(receiving.includes(number) ? { in: 1e6 } : {}),
            }),
          ),
          ...receiving
            .filter((number) => !sending.includes(number))
            .map((number) => exampleTraffic(guest(number), { in: number * 1e6 })),
        ],
      };
      // Numbers in an order that is not the order of the plan.
      const earlier = wantedShaping({ ...plan, traffic: plan.traffic.toReversed() }, noNumbers, around);
      const shaping = wantedShaping(plan, earlier.numbers, around);
      const recovered = recoveredNumbers({
        leaving: shaping.directions,
        arriving: shaping.arrivals?.pairs ?? new Map(),
        receivers: shaping.arrivals?.receivers ?? new Map(),
        uplink: shaping.classes.get("uplink"),
        sorter: shaping.classes.get("cstifb"),
      });
      assert.deepEqual(wantedShaping(plan, recovered, around), shaping);
    }),
  );
});

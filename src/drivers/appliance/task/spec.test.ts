import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { micros, milliCpu } from "#base/units.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { cpuLimits } from "#drivers/appliance/task/cpu-limits.ts";
import { slotGroup, slotNetns, slotOfGroup, slotOfNetns } from "#drivers/appliance/task/names.ts";
import { startTimeOf } from "#drivers/appliance/task/processes.ts";
import { commandSpec, hostsText, line, programSpec } from "#drivers/appliance/task/spec.ts";

test("line() keeps any field whole between its tabs", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }), (fields) => {
      const text = line(...fields);
      assert.equal(text.indexOf("\n"), text.length - 1);
      assert.deepEqual(text.slice(0, -1).split("\t").map(decodeURIComponent), fields);
    }),
  );
});

test("programSpec() lets a plan's variables win over the defaults", () => {
  const text = programSpec({ command: ["a b"], env: { PATH: "/opt" } });
  assert.match(text, /^env\tPATH\t%2Fopt$/m);
  assert.match(text, /^env\tHOME\t%2Ftmp$/m);
  assert.match(text, /^arg\ta%20b$/m);
  assert.match(text, /^directory\t%2F$/m);
});

test("hostsText() names the machine itself only where its network does not", () => {
  assert.equal(
    hostsText("web", new Map([["db", "10.0.0.3"]])),
    "127.0.0.1\tlocalhost\n127.0.1.1\tweb\n10.0.0.3\tdb\n",
  );
  assert.equal(hostsText("web", new Map([["web", "10.0.0.2"]])), "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n");
});

test("cpuLimits() promises by weight and bounds by quota", () => {
  assert.equal(cpuLimits(undefined).quota, "max");
  assert.deepEqual(cpuLimits({ kind: "share", shareMilli: milliCpu(500), limitMilli: milliCpu(1500) }), {
    weight: 500,
    quota: { quotaUs: 150_000, periodUs: 100_000 },
  });
  assert.deepEqual(
    cpuLimits({ kind: "reservation", periodUs: micros(40_000), executionUs: micros(10_000) }),
    {
      weight: 250,
      quota: { quotaUs: 10_000, periodUs: 40_000 },
    },
  );
});

test("a slot's number is found again in the names made from it, and in no stranger's", () => {
  assert.equal(slotOfGroup(slotGroup("consort/lab/h1", 12).split("/").at(-1) ?? ""), 12);
  assert.equal(slotOfGroup("manager"), undefined);
  assert.equal(slotOfNetns("cst-a1.", slotNetns("cst-a1.", 7).split("/").at(-1) ?? ""), 7);
  assert.equal(slotOfNetns("cst-a1.", "cst-a1.x"), undefined);
  assert.equal(slotOfNetns("cst-a1.", "cst-a10.3"), undefined);
});

test("startTimeOf() is not misled by a name, and knows a zombie", () => {
  const fields = Array.from({ length: 18 }, (_, index) => String(index + 4)).join(" ");
  assert.equal(startTimeOf(`7 (a) b (c) S ${fields} 777 0`), "777");
  assert.equal(startTimeOf(`7 (sh) Z ${fields} 777 0`), undefined);
});

test("commandSpec() tells the resolver of its networks' own servers, unless the plan lays in another file", () => {
  const card = { network: "shop/lan", prefixLength: 24, name: "eth0", address: "10.64.3.7" };
  const plan = {
    id: "shop/web",
    interfaces: [card, { ...card, network: "shop/back", address: "10.1.0.5", prefixLength: 29 }],
    files: [],
    env: {},
    command: ["true"],
    restart: { when: "never", backoffMsMin: 0, backoffMsMax: 0 },
  } as unknown as AppliancePlan;
  const fileOf = (text: string): string | undefined =>
    text
      .split("\n")
      .map((one) => one.split("\t").map(decodeURIComponent))
      .findLast(([key, path]) => key === "file" && path === "/etc/resolv.conf")
      ?.at(-1);
  assert.equal(
    fileOf(commandSpec(plan, 200_000)),
    "search shop.consort\nnameserver 10.64.3.1\nnameserver 10.1.0.1\noptions timeout:1 attempts:2\n",
  );
  assert.equal(fileOf(commandSpec({ ...plan, interfaces: [] }, 200_000)), undefined);
  const own = { path: "/etc/resolv.conf", content: "mine", mode: 0o644 };
  assert.equal(fileOf(commandSpec({ ...plan, files: [own] }, 200_000)), "mine");
});

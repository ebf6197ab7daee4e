import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { applianceId, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { bitsPerSecond, bytes, millis } from "#base/units.ts";
import type { ApplianceSpec, Ensemble, TeamSpec } from "#model/ensemble.ts";
import { planDiff } from "#planner/diff.ts";

const name = ensembleName("e");
const spec = (label: string, more: Partial<ApplianceSpec> = {}): ApplianceSpec => ({
  name: label,
  kind: "task",
  replicas: 1,
  command: ["run"],
  env: {},
  files: [],
  networks: ["lan"],
  restart: { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(2) },
  onHostLoss: "elsewhere",
  priority: 5,
  placement: { labels: {} },
  stopGraceMs: millis(1),
  ...more,
});
const team = (more: Partial<TeamSpec>): TeamSpec => ({
  name: "t",
  policy: "round-robin",
  jobs: [["run"]],
  teams: [],
  ...more,
});
const ensemble = (appliances: ApplianceSpec[], links: Ensemble["links"] = []): Ensemble => ({
  name,
  appliances,
  networks: [{ name: "lan" }],
  links,
  placement: [],
});
const at = (hosts: Record<string, string>): Map<ReturnType<typeof applianceId>, HostId> =>
  new Map(Object.entries(hosts).map(([label, host]) => [applianceId(name, label as never), hostId(host)]));

describe("planDiff()", () => {
  test("finds nothing between an ensemble and itself", () => {
    const one = ensemble([spec("a")]);
    assert.equal(planDiff(one, structuredClone(one), at({ a: "h1" }), at({ a: "h1" })).empty, true);
  });

  test("restarts what gets other addresses, and only that", () => {
    const on = (subnet?: string): Ensemble => ({
      ...ensemble([spec("a"), spec("off", { networks: [] })]),
      networks: [{ name: "lan", ...(subnet === undefined ? {} : { subnet }) }],
    });
    const hosts = at({ a: "h1", off: "h1" });
    const { appliances } = planDiff(on("10.1.0.0/24"), on("10.2.0.0/24"), hosts, hosts);
    assert.deepEqual(
      appliances.map(({ appliance, change, fields }) => [appliance, change, fields]),
      [["e/a", "restarted", ["subnet"]]],
    );
    assert.equal(planDiff(on("10.1.0.0/24"), on("10.1.0.0/24"), hosts, hosts).empty, true);
    assert.equal(planDiff(on("10.1.0.0/24"), on(), hosts, hosts).empty, true);
  });

  test("tells created, destroyed, moved, restarted, resized and updated apart", () => {
    const before = ensemble([
      spec("gone"),
      spec("moved"),
      spec("changed"),
      spec("grown", { memoryBytes: bytes(4) }),
      spec("limited"),
      spec("teamed", { teams: [team({})] }),
      spec("calmer"),
      spec("same"),
    ]);
    const after = ensemble([
      spec("moved"),
      spec("changed", { command: ["other"] }),
      spec("grown", { memoryBytes: bytes(5), traffic: { serviceClass: "gold" }, suspended: true }),
      spec("limited", { memoryBytes: bytes(5) }),
      spec("teamed", { teams: [team({ policy: "together" })], enforcement: "bandwidth" }),
      spec("calmer", { priority: 1 }),
      spec("same"),
      spec("new"),
    ]);
    const here = {
      gone: "h1",
      moved: "h1",
      changed: "h1",
      grown: "h1",
      limited: "h1",
      teamed: "h1",
      calmer: "h1",
      same: "h1",
    };
    const { appliances } = planDiff(before, after, at(here), at({ ...here, moved: "h2", new: "h2" }));
    const found = Object.fromEntries(appliances.map((one) => [one.appliance, one.change]));
    assert.deepEqual(found, {
      "e/gone": "destroyed",
      "e/moved": "moved",
      "e/changed": "restarted",
      "e/grown": "resized",
      "e/limited": "restarted",
      "e/teamed": "resized",
      "e/calmer": "updated",
      "e/new": "created",
    });
  });

  test("restarts for other programs of a team", () => {
    const [one, other] = [team({}), team({ jobs: [["other"]] })].map((own) =>
      ensemble([spec("a", { teams: [own] })]),
    );
    const { appliances } = planDiff(one, other, at({ a: "h1" }), at({ a: "h1" }));
    assert.deepEqual(
      appliances.map(({ change, fields }) => [change, fields]),
      [["restarted", ["teams"]]],
    );
  });

  test("shows classes, monitors and strategies that come, go and change", () => {
    const having = (more: Partial<Ensemble>): Ensemble => ({ ...ensemble([spec("a")]), ...more });
    const monitor = (everyMs: number) => ({
      name: "m",
      appliance: "a",
      everyMs: millis(everyMs),
      source: { kind: "rtp" as const, port: 1 },
    });
    const before = having({ monitors: [monitor(20)], serviceClasses: [{ name: "silver", priority: 2 }] });
    const after = having({ monitors: [monitor(30)], serviceClasses: [{ name: "bronze", priority: 2 }] });
    const { rules, empty } = planDiff(before, after, at({}), at({}));
    assert.deepEqual(
      rules.map((one) => `${one.change} ${one.kind} ${one.name}`),
      ["removed class silver", "added class bronze", "changed monitor m"],
    );
    assert.equal(empty, false);
  });

  test("shows links that come, go and change", () => {
    const link = (to: string, rate: number) => ({
      from: "a",
      to,
      priority: 4,
      bandwidthBps: bitsPerSecond(rate),
    });
    const parts = [spec("a"), spec("b"), spec("c"), spec("d")];
    const before = ensemble(parts, [link("b", 1), link("c", 1)]);
    const after = ensemble(parts, [link("b", 2), link("d", 1)]);
    const { links } = planDiff(before, after, at({}), at({}));
    const found = links.map((one) => `${one.change} ${one.link.to} ${one.fields.join()}`);
    assert.deepEqual(found, ["changed e/b bandwidthBps", "added e/d ", "removed e/c "]);
  });

  test("a new ensemble is all created, a removed one all destroyed", () => {
    const one = ensemble([spec("a", { replicas: 2 })]);
    const up = planDiff(undefined, one, at({}), at({ "a-1": "h1", "a-2": "h2" }));
    assert.deepEqual(
      up.appliances.map((each) => [each.change, each.to]),
      [
        ["created", "h1"],
        ["created", "h2"],
      ],
    );
    const down = planDiff(one, undefined, at({ "a-1": "h1", "a-2": "h2" }), at({}));
    assert.deepEqual(
      down.appliances.map((each) => [each.change, each.from]),
      [
        ["destroyed", "h1"],
        ["destroyed", "h2"],
      ],
    );
    assert.deepEqual(down.networksRemoved, ["lan"]);
  });
});

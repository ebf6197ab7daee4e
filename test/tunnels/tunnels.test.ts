import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";
import { TwoSites } from "./two-sites.ts";

const clock = systemClock();
const kinds = [
  { kind: "wireguard", mtu: 1420 },
  { kind: "openvpn", mtu: 1400 },
] as const;

for (const { kind, mtu } of kinds) {
  describe(`${kind} tunnel between two sites`, () => {
    let sites: TwoSites;
    let plans: Readonly<Record<"a" | "b", TunnelPlan>>;
    before(async () => {
      sites = await TwoSites.make();
      await Promise.all([sites.gateways.a.recover(), sites.gateways.b.recover()]);
      plans = await sites.plans(kind, mtu);
      await sites.addVxlan(mtu);
    });
    after(() => sites[Symbol.asyncDispose]());

    const up = (reports: readonly { up: boolean }[]): boolean =>
      reports.length === 1 && reports.every((one) => one.up);
    const bothUp = async (): Promise<void> => {
      await Promise.all([sites.gateways.a.until(up), sites.gateways.b.until(up)]);
    };

    test("without a tunnel wanted, VXLAN passes the router in clear: the counter works", async () => {
      assert.ok(await sites.ping(2));
      assert.ok((await sites.seen()).clear > 0);
    });

    test("wanted at one end only: refused, not sent in clear, and reported down", async () => {
      await sites.gateways.a.converge([plans.a]);
      const earlier = (await sites.seen()).clearFromA;
      assert.equal(await sites.ping(2), false);
      assert.equal((await sites.seen()).clearFromA, earlier);
      const [report] = await sites.gateways.a.look();
      assert.equal(report?.up, false);
      assert.match(report?.message ?? "", /nothing heard from 192\.0\.2\.9/);
    });

    test("wanted at both ends: up, hosts reach each other, nothing in clear", async () => {
      await sites.gateways.b.converge([plans.b]);
      await bothUp();
      const earlier = await sites.seen();
      assert.ok(await sites.ping(5));
      const later = await sites.seen();
      assert.equal(later.clear, earlier.clear);
      assert.ok(later.outer >= earlier.outer + 10, `outer packets: ${earlier.outer} → ${later.outer}`);
    });

    test("a packet of the segment's whole MTU passes unfragmented, at every hop", async () => {
      assert.ok(await sites.ping(2, mtu - 50));
      for (const space of ["ga", "r", "gb"]) {
        const text = await sites.check(space, ["cat", "/proc/net/snmp"]);
        const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Ip:"));
        const created = values.split(" ")[names.split(" ").indexOf("FragCreates")];
        assert.equal(created, "0", `fragments made in ${space}`);
      }
    });

    test("bulk transfer runs through it", async () => {
      const megabits = await sites.bulk(1);
      console.log(`${kind}: ${megabits.toFixed(0)} Mbit/s of TCP over VXLAN`);
      assert.ok(megabits > 5);
    });

    test("converging again changes nothing, and an adopted tunnel keeps its process", async () => {
      const daemons = await sites.gateways.a.daemons();
      await sites.gateways.a.converge([plans.a]);
      await sites.gateways.a.kill();
      assert.ok(await sites.ping(2), "the tunnel outlives its manager");
      await sites.gateways.a.recover();
      await sites.gateways.a.converge([plans.a]);
      assert.deepEqual(await sites.gateways.a.daemons(), daemons);
      await bothUp();
    });

    test("a killed tunnel process leaks nothing, and the next converge heals it", async () => {
      const earlier = (await sites.seen()).clear;
      const [daemon] = await sites.gateways.a.daemons();
      if (daemon !== undefined) {
        // The manager is gone as well, so that nobody mends it meanwhile.
        await sites.gateways.a.kill();
        process.kill(daemon, "SIGKILL");
        assert.equal(await sites.ping(2), false);
        await sites.gateways.a.recover();
      }
      await sites.gateways.a.converge([plans.a]);
      await bothUp();
      assert.ok(await sites.ping(3));
      assert.equal((await sites.seen()).clear, earlier);
    });

    test("a silent peer is reported down", async () => {
      await sites.check("r", ["ip", "link", "set", "tob", "down"]);
      await sites.gateways.a.until((reports) => reports[0]?.up === false);
      await sites.check("r", ["ip", "link", "set", "tob", "up"]);
      await sites.check("r", ["ip", "route", "add", "10.71.2.0/24", "via", "192.0.2.9"]);
      await bothUp();
    });

    test("clear packets that claim to come from the peer site are dropped", async () => {
      await sites.check("r", ["ip", "addr", "add", "10.71.2.77/32", "dev", "toa"]);
      const ping = ["ping", "-c", "1", "-W", "1", "-I", "10.71.2.77", "10.71.1.10"];
      assert.notEqual((await sites.run("r", ping)).code, 0);
      assert.match(
        await sites.check("ga", ["nft", "list", "ruleset"]),
        /counter packets [1-9]\d* bytes \d+ drop/,
      );
    });

    test("secrets are readable by their owner only", () => {
      const { stateDir, runDir } = sites.gateways.a;
      assert.equal(statSync(join(stateDir, "wireguard.key")).mode & 0o777, 0o600);
      for (const name of existsSync(runDir) ? readdirSync(runDir) : []) {
        if (name.endsWith(".conf")) assert.equal(statSync(join(runDir, name)).mode & 0o777, 0o600);
      }
    });

    test("killed at any moment of setting up, the next manager finds and removes everything", async () => {
      const gateway = sites.gateways.a;
      const random = seededRandom(mtu);
      await gateway.converge([]);
      for (let round = 0; round < 12; round += 1) {
        await gateway.recover();
        const cut = gateway.converge([plans.a]).catch(() => undefined);
        await clock.sleep(millis(random.integer(100)), new AbortController().signal);
        await gateway.kill();
        await cut;
        await gateway.recover();
        await gateway.converge([]);
        assert.equal(await sites.leftovers("a"), "", `round ${round}`);
        assert.deepEqual(await gateway.daemons(), [], `round ${round}`);
        assert.deepEqual(gateway.files(), ["wireguard.key"], `round ${round}`);
      }
      await gateway.converge([plans.a]);
      await bothUp();
    });

    test("no longer wanted: nothing is left but the gateway's own key", async () => {
      for (const site of ["a", "b"] as const) {
        const gateway = sites.gateways[site];
        await gateway.converge([]);
        assert.equal(await sites.leftovers(site), "");
        assert.deepEqual(await gateway.daemons(), []);
        assert.deepEqual(gateway.files(), ["wireguard.key"]);
        assert.deepEqual(await gateway.look(), []);
        await gateway.close();
      }
    });
  });
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { messagingConformance, until } from "#drivers/messaging/conformance.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { Buses } from "#sim/drivers/bus.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import { tracedLog } from "#sim/kernel/log.ts";
import { RunningTime } from "#sim/kernel/running-time.fixture.ts";
import { Wire } from "#sim/kernel/wire.ts";
import { defaultSettings } from "#sim/settings.ts";

const never = new AbortController().signal;

class Site {
  readonly running = new RunningTime();
  readonly wire = new Wire(seededRandom(1));
  readonly buses = new Buses({
    time: this.running.time,
    wire: this.wire,
    settings: { ...defaultSettings, freezesMessages: true },
  });

  open(name = "cluster/1", takesOver = false): { life: Incarnation; end: Messaging } {
    const life = this.running.life(name);
    return { life, end: this.buses.open(life, tracedLog(this.running.time, life), takesOver) };
  }

  connect(address: string, hears?: readonly string[]): { life: Incarnation; end: Messaging } {
    const life = this.running.life(address);
    return { life, end: this.buses.connect(life, address, tracedLog(this.running.time, life), hears) };
  }

  kill(life: Incarnation, silently = false): void {
    life.kill();
    this.buses.died(life, silently);
  }
}

let site: Site;
messagingConformance("the simulated bus", {
  open: async () => {
    site = new Site();
    return site.open().end;
  },
  connect: (address, hears) => site.connect(address, hears).end,
  clear: () => site.running[Symbol.asyncDispose](),
});

describe("the simulated bus", () => {
  it("dies with its cluster manager, and hosts come to the next one", async () => {
    const one = new Site();
    await using _running = one.running;
    const first = one.open();
    const host = one.connect("host/a1").end;
    await until(host, "cluster");
    one.kill(first.life);
    await until(host, "cluster", false);
    const second = one.open();
    await until(second.end, "host/a1");
    second.end.answer("who", async () => "second");
    await until(host, "cluster");
    assert.equal(await host.request("cluster", "who", null, never), "second");
  });

  it("is not opened twice, unless another one takes over; then hosts follow by and by", async () => {
    const one = new Site();
    await using _running = one.running;
    const old = one.open();
    const host = one.connect("host/a1").end;
    await until(host, "cluster");
    assert.throws(() => one.open("cluster/2"), { code: "conflict" });
    const newer = one.open("cluster/2", true);
    assert.deepEqual(old.end.present(), ["host/a1"], "the old one still has it");
    await until(newer.end, "host/a1");
    await until(old.end, "host/a1", false);
  });

  it("loses what is sent over a cut, and both ends notice, also of a cut in one direction", async () => {
    const one = new Site();
    await using running = one.running;
    const cluster = one.open().end;
    const host = one.connect("host/a1").end;
    await Promise.all([until(host, "cluster"), until(cluster, "host/a1")]);
    cluster.answer("hear", async () => assert.fail("nothing gets through"));
    const cut = one.wire.cut("host/a1", "cluster/1");
    one.buses.wasCut(cut.lasts);
    const asked = assert.rejects(host.request("cluster", "hear", null, never), { code: "unavailable" });
    const cutAtMs = running.time.nowMs;
    await Promise.all([asked, until(cluster, "host/a1", false), until(host, "cluster", false)]);
    assert.ok(running.time.nowMs - cutAtMs >= defaultSettings.keepAliveMs[0]);
    cut.mend();
    await Promise.all([until(host, "cluster"), until(cluster, "host/a1")]);
  });

  it("tells at once of a process that died, and late of a machine that lost its power", async () => {
    for (const [silently, least, most] of [
      [false, 0, defaultSettings.messageMs[1]],
      [true, ...defaultSettings.keepAliveMs],
    ] as const) {
      const one = new Site();
      await using running = one.running;
      const cluster = one.open().end;
      const host = one.connect("host/a1");
      await until(cluster, "host/a1");
      const diedAtMs = running.time.nowMs;
      const left = Promise.withResolvers<number>();
      cluster.onPresence(() => left.resolve(running.time.nowMs - diedAtMs));
      one.kill(host.life, silently);
      const afterMs = await left.promise;
      assert.ok(afterMs >= least && afterMs <= most + 1, `${afterMs} ms`);
    }
  });

  it("doubles, delays and reorders what managers say when the wire is noisy", async () => {
    const one = new Site();
    await using running = one.running;
    const cluster = one.open().end;
    const host = one.connect("host/a1").end;
    await Promise.all([until(host, "cluster"), until(cluster, "host/a1")]);
    const heard: unknown[] = [];
    cluster.subscribe("room", (_from, body) => heard.push(body));
    one.wire.disturb({ lost: 0.2, doubled: 0.5, delayMsMax: 500 });
    const sent = Array.from({ length: 100 }, (_, n) => n);
    for (const n of sent) host.publish("room", n);
    await new Promise<void>((resolve) => {
      running.time.schedule(running.time.nowMs + 600, undefined, "later", resolve);
    });
    const once = new Set(heard);
    assert.ok(once.size < sent.length && heard.length > once.size, "some are lost, some come twice");
    assert.notDeepEqual(
      [...once],
      [...once].sort((a, b) => Number(a) - Number(b)),
    );
  });
});

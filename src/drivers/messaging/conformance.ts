import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import type { Messaging, Presence } from "#drivers/messaging/port.ts";

export type BusUnderTest = {
  /** A new bus; returns its end "cluster". */
  open(): Promise<Messaging>;
  /** A further end, which need not be connected yet. */
  connect(address: string, hears?: readonly string[]): Messaging;
  /** Removes what `open` left, ends included. */
  clear(): Promise<void>;
};

const never = new AbortController().signal;

/** Resolves once `other` is there for `end`. */
export async function until(end: Messaging, other: string, wanted = true): Promise<void> {
  if (end.present().includes(other) === wanted) return;
  await new Promise<void>((resolve) => {
    end.onPresence(({ address, present }) => {
      if (address === other && present === wanted) resolve();
    });
  });
}

/** What every implementation of the messaging port does. */
export function messagingConformance(name: string, bus: BusUnderTest): void {
  describe(`${name} conforms to the messaging port`, () => {
    let cluster: Messaging;
    beforeEach(async () => {
      cluster = await bus.open();
    });
    afterEach(() => bus.clear());
    const host: Connect = async (address, hears) => {
      const end = bus.connect(address, hears);
      await Promise.all([until(end, "cluster"), until(cluster, address)]);
      return end;
    };
    requests(() => cluster, host);
    cancellations(() => cluster, host);
    roomsAndPresence(() => cluster, host);
  });
}

type Cluster = () => Messaging;
type Connect = (address: string, hears?: readonly string[]) => Promise<Messaging>;

function requests(cluster: Cluster, host: Connect): void {
  it("carries requests and answers both ways and between two hosts, saying who asks", async () => {
    const one = await host("host/a1");
    const two = await host("host/a2");
    await until(one, "host/a2");
    for (const end of [cluster(), one, two]) {
      end.answer("greet", async ({ from, topic, body }) => ({ at: end.address, from, topic, body }));
    }
    const body = { text: "é\n\u2028", list: [1, null] };
    for (const [from, to] of [
      [cluster(), one],
      [one, cluster()],
      [one, two],
    ] as const) {
      assert.deepEqual(await from.request(to.address, "greet", body, never), {
        at: to.address,
        from: from.address,
        topic: "greet",
        body,
      });
    }
  });

  it("gives each of many requests at once its own answer", async () => {
    const one = await host("host/a1");
    one.answer("double", async ({ body }) => Number(body) * 2);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => cluster().request("host/a1", "double", n, never)),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 200 }, (_, n) => n * 2),
    );
  });

  it("brings an answerer's error to the asker, code and message", async () => {
    const one = await host("host/a1");
    one.answer("refuse", async () => {
      throw new ConsortError("unsupported", "Cannot do that: no driver");
    });
    await assert.rejects(cluster().request("host/a1", "refuse", null, never), {
      code: "unsupported",
      message: "Cannot do that: no driver",
    });
  });

  it("fails at once for an address nobody has and for a topic nobody answers", async () => {
    await host("host/a1");
    await assert.rejects(cluster().request("host/none", "greet", null, never), { code: "unavailable" });
    await assert.rejects(cluster().request("host/a1", "unheard", null, never), { code: "unavailable" });
  });

  it("answers undefined as null", async () => {
    const one = await host("host/a1");
    one.answer("nothing", async () => undefined);
    assert.equal(await cluster().request("host/a1", "nothing", undefined, never), null);
  });

  it("carries a body of megabytes and refuses one beyond the limit, request or answer", async () => {
    const one = await host("host/a1");
    const large = "x".repeat(messagingLimits.frameBytesMax);
    one.answer("length", async ({ body }) => String(body).length);
    one.answer("large", async () => large);
    const half = large.slice(messagingLimits.frameBytesMax / 2);
    assert.equal(await cluster().request("host/a1", "length", half, never), half.length);
    await assert.rejects(cluster().request("host/a1", "length", large, never), { code: "limit_exceeded" });
    await assert.rejects(cluster().request("host/a1", "large", null, never), { code: "limit_exceeded" });
    assert.equal(await cluster().request("host/a1", "length", "still there", never), 11);
  });
}

/** A handler that never answers, and what became of it. */
function stuck(end: Messaging): { asked: Promise<void>; stopped: Promise<void> } {
  const asked = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  end.answer("stuck", (_request, signal) => {
    asked.resolve();
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        stopped.resolve();
        reject(signal.reason);
      });
    });
  });
  return { asked: asked.promise, stopped: stopped.promise };
}

function cancellations(cluster: Cluster, host: Connect): void {
  it("tells the answerer that the asker gave up", async () => {
    const { asked, stopped } = stuck(await host("host/a1"));
    const stop = new AbortController();
    const request = cluster().request("host/a1", "stuck", null, stop.signal);
    await asked;
    stop.abort(new Error("enough"));
    await assert.rejects(request, /enough/);
    await stopped;
  });

  it("asks nothing for an asker that has given up already", async () => {
    await host("host/a1");
    const gone = AbortSignal.abort(new Error("gave up"));
    await assert.rejects(cluster().request("host/a1", "stuck", null, gone), /gave up/);
  });

  it("fails what is asked of one that leaves, and stops answering one that left", async () => {
    const one = await host("host/a1");
    const askedOfOne = stuck(one);
    const askedOfCluster = stuck(cluster());
    const pending = assert.rejects(cluster().request("host/a1", "stuck", null, never), {
      code: "unavailable",
    });
    const own = assert.rejects(one.request("cluster", "stuck", null, never), { code: "unavailable" });
    await Promise.all([askedOfOne.asked, askedOfCluster.asked]);
    await one.close();
    await Promise.all([pending, own, askedOfOne.stopped, askedOfCluster.stopped]);
    await assert.rejects(one.request("cluster", "stuck", null, never), { code: "unavailable" });
  });
}

function roomsAndPresence(cluster: Cluster, host: Connect): void {
  it("publishes to those in a room, in order and before a later answer, until they leave it", async () => {
    const one = await host("host/a1");
    const heard: unknown[] = [];
    const leave = cluster().subscribe("room", (from, body) => heard.push([from, body]));
    cluster().subscribe("elsewhere", () => assert.fail("nobody speaks there"));
    one.answer("speak", async ({ body }) => {
      for (const n of [1, 2, 3]) one.publish("room", [body, n]);
    });
    await cluster().request("host/a1", "speak", "first", never);
    leave();
    await cluster().request("host/a1", "speak", "second", never);
    assert.deepEqual(
      heard,
      [1, 2, 3].map((n) => ["host/a1", ["first", n]]),
    );
  });

  it("lets hosts hear the cluster manager and each other, not themselves", async () => {
    const one = await host("host/a1");
    const two = await host("host/a2");
    one.answer("sync", async () => null);
    const heard: string[] = [];
    one.subscribe("room", (from) => heard.push(from));
    // An answer over the same connection shows that the subscription before it has arrived.
    cluster().answer("sync", async () => null);
    await one.request("cluster", "sync", null, never);
    one.publish("room", 1);
    two.publish("room", 2);
    await two.request("cluster", "sync", null, never);
    cluster().publish("room", 3);
    await cluster().request("host/a1", "sync", null, never);
    assert.deepEqual(heard, ["host/a2", "cluster"]);
  });

  it("shows who comes and who leaves, to all others", async () => {
    const one = await host("host/a1");
    const changes: Presence[] = [];
    one.onPresence((change) => changes.push(change));
    const two = await host("host/a2");
    await until(one, "host/a2");
    assert.deepEqual(one.present(), ["cluster", "host/a2"]);
    assert.deepEqual(cluster().present(), ["host/a1", "host/a2"]);
    assert.deepEqual(
      ["host/a2", "host/a3"].map((address) => cluster().isPresent(address)),
      [true, false],
    );
    assert.deepEqual([...two.present()].sort(), ["cluster", "host/a1"]);
    await two.close();
    await until(one, "host/a2", false);
    assert.deepEqual(changes, [
      { address: "host/a2", present: true },
      { address: "host/a2", present: false },
    ]);
  });

  it("tells an end of nobody but those it wants to hear of, who hear of it all the same", async () => {
    const other = await host("host/a2");
    const one = await host("host/a1", ["cluster", "host/a3"]);
    await until(other, "host/a1");
    assert.deepEqual(one.present(), ["cluster"]);
    const changes: Presence[] = [];
    one.onPresence((change) => changes.push(change));
    await other.close();
    await until(cluster(), "host/a2", false);
    await host("host/a3");
    await until(one, "host/a3");
    assert.deepEqual(changes, [{ address: "host/a3", present: true }]);
    cluster().answer("greet", async ({ from }) => from);
    assert.equal(await one.request("cluster", "greet", null, never), "host/a1");
  });

  it("gives an address to its newest end", async () => {
    const old = await host("host/a1");
    const newer = await host("host/a1");
    newer.answer("who", async () => "newer");
    old.answer("who", async () => "old");
    await until(old, "cluster", false);
    await until(newer, "cluster");
    await until(cluster(), "host/a1");
    assert.equal(await cluster().request("host/a1", "who", null, never), "newer");
  });

  it("keeps on after a listener that throws", async () => {
    const one = await host("host/a1");
    const heard: unknown[] = [];
    cluster().subscribe("room", () => {
      throw new Error("a listener's own defect");
    });
    cluster().subscribe("room", (_from, body) => heard.push(body));
    cluster().answer("sync", async () => null);
    one.publish("room", 1);
    await one.request("cluster", "sync", null, never);
    assert.deepEqual(heard, [1]);
  });
}

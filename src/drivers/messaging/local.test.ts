import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { messagingConformance, until } from "#drivers/messaging/conformance.ts";
import { connectLocalBus } from "#drivers/messaging/local-client.ts";
import { openLocalBus } from "#drivers/messaging/local-server.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";

const never = new AbortController().signal;
const clock = systemClock();
let directory: string;
let path: string;
let ends: Messaging[] = [];

const open = async (): Promise<Messaging> => {
  const end = await openLocalBus({ path, address: "cluster", clock, log: silentLog });
  ends.push(end);
  return end;
};
const enter = (address: string, hears?: readonly string[]): Messaging => {
  const told = hears === undefined ? {} : { hears };
  const end = connectLocalBus({ path, address, ...told, clock, random: systemRandom(), log: silentLog });
  ends.push(end);
  return end;
};
const begin = (): void => {
  directory = mkdtempSync(join(tmpdir(), "consort-bus-"));
  path = join(directory, "run", "bus.sock");
};
const clear = async (): Promise<void> => {
  await Promise.all(ends.map((end) => end.close()));
  ends = [];
  rmSync(directory, { recursive: true });
};

messagingConformance("the local bus", {
  open: async () => {
    begin();
    return open();
  },
  connect: enter,
  clear,
});

/** A raw connection that says `lines`; resolves with all it was told when the bus closes it. */
async function raw(lines: readonly string[]): Promise<string> {
  const socket: Socket = connect(path);
  let told = "";
  socket.on("data", (chunk: Buffer) => (told += chunk.toString()));
  socket.on("error", () => {});
  socket.write(lines.map((line) => `${line}\n`).join(""));
  await once(socket, "close");
  return told;
}

describe("openLocalBus()", () => {
  beforeEach(begin);
  afterEach(clear);

  it("lets only its owner in", async () => {
    await open();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, "run")).mode & 0o777, 0o700);
  });

  it("respects a living server and a file that is no socket, and replaces a dead one's", async () => {
    const first = await open();
    await assert.rejects(open(), { code: "conflict" });
    await first.close();
    await (await open()).close();

    // A socket whose server is gone: bound under another name, as closing removes the name it was bound to.
    const dead = createServer().listen(path);
    await once(dead, "listening");
    renameSync(path, `${path}.kept`);
    dead.close();
    await once(dead, "close");
    renameSync(`${path}.kept`, path);
    await (await open()).close();

    writeFileSync(path, "not a socket");
    await assert.rejects(open(), { code: "driver_failed" });
    assert.ok(statSync(path).isFile());
  });

  it("closes a connection that does not greet, greets as the bus, or talks nonsense", async () => {
    const cluster = await open();
    assert.match(await raw(['{"kind":"publish","from":"x","room":"r","body":1}']), /refused/);
    assert.match(await raw(['{"kind":"hello","address":"cluster"}']), /refused/);
    assert.match(await raw(['{"kind":"hello","address":"not an address"}']), /refused/);
    assert.match(await raw(['{"kind":"hello","address":"host/a1"}', "nonsense"]), /welcome/);
    assert.deepEqual(cluster.present(), []);
  });

  it("believes no sender's word about who it is", async () => {
    const cluster = await open();
    const heard = new Promise((resolve) => cluster.subscribe("room", resolve));
    const socket = connect(path);
    socket.write('{"kind":"hello","address":"host/a1"}\n');
    socket.write('{"kind":"publish","from":"host/a2","room":"room","body":1}\n');
    assert.equal(await heard, "host/a1");
    socket.destroy();
  });
});

describe("connectLocalBus()", () => {
  beforeEach(begin);
  afterEach(clear);

  it("connects once there is a bus, and again after it died, with its rooms and answers", async () => {
    const host = enter("host/a1");
    host.answer("who", async () => "a1");
    const heard: unknown[] = [];
    host.subscribe("room", (_from, body) => heard.push(body));
    await assert.rejects(host.request("cluster", "who", null, never), { code: "unavailable" });
    for (const life of [1, 2]) {
      const cluster = await open();
      await until(cluster, "host/a1");
      // Being answered shows that what the host sent at its welcome, its rooms, has arrived.
      assert.equal(await cluster.request("host/a1", "who", null, never), "a1");
      cluster.publish("room", life);
      assert.equal(await cluster.request("host/a1", "who", null, never), "a1");
      await cluster.close();
      await until(host, "cluster", false);
    }
    assert.deepEqual(heard, [1, 2]);
  });
});

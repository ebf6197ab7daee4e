import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, hostId } from "#base/ids.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";

const never = new AbortController().signal;
const shop = sampleEnsemble("shop", {
  appliances: [sampleVm("db", { machine: "q35" }), sampleAppliance("web")],
});
const db = applianceId(shop.name, "db" as never);

async function cloud(): Promise<Cloud & Disposable> {
  const made = new Cloud();
  await made.start();
  const up = await made.up(shop);
  assert.equal(up.state, "done", up.message);
  return Object.assign(made, { [Symbol.dispose]: () => made.stop() });
}

/** Hosts on which it runs at this moment. */
const hostsOfDb = (made: Cloud): string[] =>
  [...made.machines].flatMap(([host, { appliances }]) =>
    appliances.get(db)?.state === "running" ? [host] : [],
  );
const homeOf = (made: Cloud): string => hostsOfDb(made)[0] ?? "nowhere";
const otherThan = (host: string): string => (host === "a1" ? "a2" : "a1");

async function until(made: Cloud, holds: () => boolean): Promise<void> {
  while (!holds()) {
    assert.ok(hostsOfDb(made).length <= 1, "it runs twice");
    await made.turn();
  }
}

describe("migrate", () => {
  it("moves a running machine to the host that is named, and leaves nothing where it was", async () => {
    using made = await cloud();
    const [from, to] = [homeOf(made), otherThan(homeOf(made))];
    const operation = await made.ended(await made.cluster.migrate("shop", { appliances: ["db"], to }, never));
    assert.equal(operation.state, "done", operation.message);
    assert.deepEqual(hostsOfDb(made), [to]);
    await until(made, () => made.machines.get(from)?.appliances.has(db) === false);
    assert.equal(
      (await made.cluster.ensemble("shop", never)).appliances.find(({ name }) => name === "db")?.host,
      to,
    );
  });

  it("refuses what cannot be moved running, and what is there already, changing nothing", async () => {
    using made = await cloud();
    const ask = (appliance: string, to?: string) =>
      made.cluster.migrate("shop", { appliances: [appliance], ...(to === undefined ? {} : { to }) }, never);
    await assert.rejects(ask("web"), { code: "unsupported" });
    await assert.rejects(ask("db", homeOf(made)), { code: "conflict", message: /already/ });
    await assert.rejects(ask("db", "nowhere"), { code: "not_found" });
    await assert.rejects(ask("mail"), { code: "not_found" });
    assert.equal(hostsOfDb(made).length, 1);
  });

  it("leaves it where it was when the way is cut, and when it is cancelled", async () => {
    using made = await cloud();
    const [from, to] = [homeOf(made), otherThan(homeOf(made))];
    made.moves.cut = true;
    const failed = await made.ended(await made.cluster.migrate("shop", { appliances: ["db"], to }, never));
    assert.equal(failed.state, "failed");
    assert.deepEqual(hostsOfDb(made), [from]);
    await until(made, () => made.machines.get(to)?.appliances.has(db) === false);
    made.moves.cut = false;
    made.moves.held = true;
    const { id } = await made.cluster.migrate("shop", { appliances: ["db"], to }, never);
    await made.cluster.cancel(id as never, never);
    await until(made, () => made.machines.get(to)?.appliances.has(db) === false);
    assert.deepEqual(hostsOfDb(made), [from]);
  });

  it("is finished by the next managers, whichever die at whichever moment, and it never runs twice", async () => {
    using made = await cloud();
    for (const victim of ["cluster", "a1", "a2", "cluster"]) {
      const to = otherThan(homeOf(made));
      const { id } = await made.cluster.migrate("shop", { appliances: ["db"], to }, never);
      made.kill(victim);
      if (victim === "cluster") await made.startCluster();
      else made.startHost(victim);
      await until(made, () => homeOf(made) === to);
      const operation = await made.ended(await made.cluster.operation(id as never, never));
      assert.equal(operation.state, "done", operation.message);
      await until(made, () => made.machines.get(otherThan(to))?.appliances.has(db) === false);
    }
  });

  it("is how a drain moves machines", async () => {
    using made = await cloud();
    const from = homeOf(made);
    assert.equal((await made.ended(await made.cluster.drain(hostId(from), never))).state, "done");
    assert.equal(hostsOfDb(made).length, 1);
    assert.notEqual(homeOf(made), from);
    assert.equal(made.moves.sent.size, 1);
  });
});

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FakeService } from "#api/fake-service.ts";
import { startApi } from "#api/server.ts";
import { consort } from "#cli/cli.fixture.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { formatProblem } from "#formats/problem.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { sampleHostStatus } from "#protocol/http/status.fixture.ts";

const host = sampleHostStatus;

test("the commands about hosts and the real API understand each other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "consort-cli-"));
  const tokenFile = join(folder, "token");
  const service = new FakeService();
  service.hostList = [host("a1"), host("a2", { state: "lost", appliances: 1 })];
  const api = await startApi({
    service,
    address: "127.0.0.1",
    port: 0,
    tokenFile,
    log: silentLog,
    clock: systemClock(),
    random: systemRandom(),
  });
  const run = (...args: string[]) =>
    consort([...args, "--token-file", tokenFile], { url: api.url, clock: systemClock() });
  try {
    assert.equal((await run("host", "cordon", "a1")).out, "a1 takes nothing new\n");
    assert.match((await run("hosts")).out, /^a1 +alpha +host +ready +cordoned /m);
    assert.equal((await run("host", "uncordon", "a1")).out, "a1 takes appliances again\n");

    const drain = run("host", "drain", "a1", "--json");
    const accepted = await operationOf(service);
    service.change({ ...accepted, state: "done", endedAtMs: accepted.createdAtMs });
    const drained = await drain;
    assert.equal(drained.exit, 0, drained.err);
    assert.equal((JSON.parse(drained.out) as Operation).host, "a1");

    assert.match((await run("host", "forget", "a2")).err, /something may run there still/);
    assert.equal((await run("host", "forget", "a2", "--gone")).exit, 0);
    assert.equal((await run("hosts", "--quiet")).out, "a1\n");
    assert.match((await run("host", "forget", "a1")).err, /^consort: Cannot forget a1: it is ready/);
    assert.match((await run("host", "drain", "b1")).err, /no such host; did you mean "a1"\?/);

    const parsed = parseSnapshot((await run("snapshot")).out, "snapshot");
    assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  } finally {
    await api.close();
    await rm(folder, { recursive: true });
  }
});

/** The first operation there is, once there is one. */
async function operationOf(service: FakeService): Promise<Operation> {
  for (;;) {
    const [first] = await service.operations();
    if (first !== undefined) return first;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import { labDown, labStatus, labUp } from "#lab/lab.ts";
import { netnsName } from "#lab/names.ts";
import { bandwidthBetween, floodFrom, inNode, pingAverageMs } from "./measure.ts";
import { plainTopology, realMachine } from "./machine.ts";
import { marksOf, rootNetwork } from "./marks.ts";

const { signal } = new AbortController();
const machine = realMachine();
const root = mkdtempSync(`${tmpdir()}/consort-lab-test-`);
const place = { name: "testup", stateRoot: `${root}/state`, runRoot: `${root}/run`, machine };
const topology = plainTopology({ sites: 2, hostsPerSite: 2, bandwidthMbps: 100, wanLatencyUs: 5000 });
const up = () => labUp({ ...place, topology, managers: false }, signal);

before(() => labDown(place, signal));
after(async () => {
  await labDown(place, signal);
  rmSync(root, { recursive: true, force: true });
});

test("a lab comes up, does what its topology says, and goes without a trace", async (t) => {
  const untouched = await rootNetwork(machine, signal);
  await up();

  await t.test("its hosts reach each other in the site and across", async () => {
    assert.equal((await inNode("testup", "s1h1", ["ping", "-c1", "-W2", "172.30.1.12"])).code, 0);
    assert.equal((await inNode("testup", "s2h2", ["ping", "-c1", "-W5", "172.30.1.11"])).code, 0);
    assert.equal((await inNode("testup", "s1gw", ["ping", "-c1", "-W5", "172.31.2.2"])).code, 0);
  });

  await t.test("between sites every link's latency counts once each way", async () => {
    const far = await pingAverageMs("testup", "s1h1", "172.30.2.11");
    assert.ok(far >= 20 && far < 40, `20 ms wanted, ${far} ms measured`);
    const near = await pingAverageMs("testup", "s1h1", "172.30.1.12");
    assert.ok(near < 10, `no latency wanted in the site, ${near} ms measured`);
  });

  await t.test("a link carries its bandwidth and not more", async () => {
    for (const target of ["172.30.1.12", "172.30.2.12"]) {
      const server = target === "172.30.1.12" ? "s1h2" : "s2h2";
      const bps = await bandwidthBetween("testup", "s1h1", server, target);
      assert.ok(bps > 80e6 && bps <= 100e6, `95.6 Mbit/s wanted to ${target}, ${bps / 1e6} measured`);
    }
  });

  await t.test("each host has its own CPU and memory budget", () => {
    const limits = limitsOf("consort/testup/s1h1");
    assert.deepEqual(limits, { cpu: 0.5, memoryBytes: 256 * 1024 * 1024 });
  });

  await t.test("bringing it up again changes nothing that is there", async () => {
    const shape = () =>
      machine.subprocess.check(
        "tc",
        ["-n", netnsName("testup", "s1h1"), "class", "show", "dev", "uplink"],
        signal,
      );
    const ipIn = ["-n", netnsName("testup", "s1h1")];
    await machine.subprocess.check(
      "tc",
      [...ipIn, "class", "add", "dev", "uplink", "parent", "1:1", "classid", "1:77", "htb", "rate", "5mbit"],
      signal,
    );
    const shaped = await shape();
    await up();
    assert.equal(await shape(), shaped, "the host manager's own classes stay");
  });

  await t.test("what was taken from it comes back", async () => {
    await machine.subprocess.check("ip", ["netns", "del", netnsName("testup", "s1sw")], signal);
    assert.equal(labStatus(place).state, "partial");
    await up();
    assert.equal((await inNode("testup", "s1h1", ["ping", "-c1", "-W5", "172.30.2.12"])).code, 0);
    assert.equal(labStatus(place).state, "up");
  });

  await t.test("another topology is refused", async () => {
    const other = plainTopology({ sites: 1, hostsPerSite: 1 });
    await assert.rejects(labUp({ ...place, topology: other, managers: false }, signal), { code: "conflict" });
  });

  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
  assert.deepEqual(await rootNetwork(machine, signal), untouched);
  assert.equal(labStatus(place).state, "down");
});

test("a lab whose records are gone is refused to `up`, and removed by `down`", async () => {
  await up();
  rmSync(`${place.stateRoot}/labs`, { recursive: true });
  assert.equal(labStatus(place).state, "partial");
  await assert.rejects(up(), { code: "conflict" });
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});

test("frames marked EF do not wait behind a full link inside the fabric", async () => {
  await up();
  // Two senders at 90 Mbit/s each want the switch's port to s1h1, which has 100.
  const flooding = await Promise.all([
    floodFrom("testup", "s1h2", "s1h1", "172.30.1.11", 5301),
    floodFrom("testup", "s2h1", "s1h1", "172.30.1.11", 5302),
  ]);
  const marked = await pingAverageMs("testup", "s1gw", "172.30.1.11", "0xb8");
  const plain = await pingAverageMs("testup", "s1gw", "172.30.1.11", "0");
  for (const flood of flooding) await flood.stop();
  assert.ok(marked * 3 < plain, `marked ${marked} ms, plain ${plain} ms`);
  await labDown(place, signal);
});

/** As the kernel has them: v1 or v2, wherever the controllers are. */
function limitsOf(group: string): { cpu: number; memoryBytes: number } {
  const directories = machine.cgroups.open(group).procsFiles().map(dirname);
  const read = (name: string): string | undefined => {
    const file = directories.map((directory) => `${directory}/${name}`).find((path) => existsSync(path));
    return file === undefined ? undefined : readFileSync(file, "utf8").trim();
  };
  const [quota, period] = read("cpu.max")?.split(" ") ?? [
    read("cpu.cfs_quota_us"),
    read("cpu.cfs_period_us"),
  ];
  const memory = read("memory.max") ?? read("memory.limit_in_bytes");
  return { cpu: Number(quota) / Number(period), memoryBytes: Number(memory) };
}

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { parseEnsemble } from "#formats/ensemble.ts";
import { netnsName } from "#lab/names.ts";
import { eventually, startRig } from "../rig/rig.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { plainTopology } from "./machine.ts";

const lab = "testnames";
const giveUpMs = 120_000;

const text = `ensemble: shop
appliances:
  web: {command: sleep infinity, hosts: [s1h1]}
  db: {command: sleep infinity, hosts: [s1h2]}
`;

/** What a program's own resolver finds, whatever /etc/hosts says. */
const resolve = (name: string): string[] => [
  "perl",
  "-e",
  `my $a = gethostbyname(shift); print defined $a ? join(".", unpack "C4", $a) : "none"`,
  name,
];

test("names of an ensemble resolve in its task machines and on its hosts, and go with it", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  const parsed = parseEnsemble(text, { file: "shop.yaml" });
  assert.ok(parsed.ok);
  {
    await using stack = new AsyncDisposableStack();
    const rig = await startRig(lab, plainTopology({ sites: 1, hostsPerSite: 2 }), signal);
    stack.defer(() => rig.close());
    await rig.up(parsed.value, signal);
    const { appliances } = await rig.status("shop", signal);
    const address = appliances.find(({ name }) => name === "db")?.addresses[0]?.address;
    const inside = async (name: string) => (await rig.exec("shop", "web", resolve(name), signal)).stdout;

    await t.test("by their full names, which only their networks' servers know", async () => {
      await eventually("an answer", signal, async () => (await inside("db.shop.consort")) === address);
      assert.equal(await inside("db"), address);
      assert.equal(await inside("nobody.shop.consort"), "none");
    });

    await t.test("for programs of a host that has a member, as ip runs them there", async () => {
      const onHost = (name: string): string =>
        execFileSync("ip", ["netns", "exec", netnsName(lab, "s1h1"), ...resolve(name)], { encoding: "utf8" });
      await eventually("an answer", signal, () => onHost("db.shop.consort") === address);
      assert.equal(onHost("db"), "none");
    });

    await t.test(
      "also after the host's manager was killed, and no longer when the ensemble is down",
      async () => {
        process.kill(rig.managerPid("host-s1h1")!, "SIGKILL");
        await eventually("an answer", signal, async () => (await inside("db.shop.consort")) === address);
        await rig.down("shop", signal);
        const answer = execFileSync(
          "ip",
          ["netns", "exec", netnsName(lab, "s1h1"), ...resolve("db.shop.consort")],
          { encoding: "utf8" },
        );
        assert.equal(answer, "none");
      },
    );
  }
  assert.equal(existsSync(`/etc/netns/${netnsName(lab, "s1h1")}`), false);
  assert.deepEqual(await machineFacts(lab), before);
});

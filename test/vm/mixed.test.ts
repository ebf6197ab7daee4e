import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { mebibytes } from "#base/units.ts";
import { eventually, readEnsembleFile, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { plainTopology } from "../lab/machine.ts";

const lab = "testmixed";
const giveUpMs = 150_000;

/** As a user types it. */
async function consort(rig: Rig, ...args: string[]): Promise<string> {
  const at = ["--api", rig.apiUrl(), "--token-file", join(rig.stateDir, "token")];
  const { stdout } = await promisify(execFile)("bin/consort", [...args, ...at]);
  return stdout;
}

test("a virtual machine and tasks share one network, its names and one set of verbs", async (t) => {
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(giveUpMs)]);
  const before = await machineFacts(lab);
  {
    await using stack = new AsyncDisposableStack();
    const topology = plainTopology({ sites: 1, hostsPerSite: 2 });
    const rig = await startRig(
      lab,
      { ...topology, hosts: topology.hosts.map((host) => ({ ...host, memoryBytes: mebibytes(512) })) },
      signal,
    );
    stack.defer(() => rig.close());
    const mixed = readEnsembleFile("examples/mixed.yaml");
    const apart = {
      ...mixed,
      placement: [{ rule: "apart", scope: "host", appliances: ["server", "client"] } as const],
      appliances: mixed.appliances.map((one) => ({ ...one, replicas: 1 })),
    };
    const said = async (appliance: string): Promise<string> =>
      rig.client().text(`/v1/ensembles/mixed/appliances/${appliance}/log`, signal);
    const run = async (appliance: string, ...command: string[]): Promise<string> =>
      (await rig.exec("mixed", appliance, command, signal)).stdout;

    await t.test("without its image it is refused, and nothing is made", async () => {
      await assert.rejects(rig.up(apart, signal), {
        code: "unsatisfiable",
        message: /no image "tiny" is in the catalogue; Build it/,
      });
    });

    await t.test("a task on another host is served by the machine, by its name", async () => {
      await consort(rig, "image", "build", "tiny");
      await rig.up(apart, signal);
      await eventually("a page", signal, async () =>
        (await said("client")).includes("hello from a virtual machine"),
      );
      const { appliances } = await rig.status("mixed", signal);
      assert.equal(new Set(appliances.map(({ host }) => host)).size, 2);
      const server = appliances.find(({ name }) => name === "server");
      assert.deepEqual([server?.kind, server?.vm?.image, server?.vm?.accel], ["vm", "tiny", "tcg"]);
    });

    await t.test("what the guest has of memory and did with its disks is told", async () => {
      await eventually("its own memory", signal, async () => {
        const { appliances } = await rig.status("mixed", signal);
        const [server, client] = ["server", "client"].map((name) =>
          appliances.find((one) => one.name === name),
        );
        assert.equal(client?.guest, undefined, "a task has no guest");
        return (server?.guest?.memoryAvailableBytes ?? 0) > mebibytes(1) && server!.guest!.readBytes > 0;
      });
    });

    await t.test(
      "the guest resolves the task by full and short name, and is offered its address by DHCP",
      async () => {
        const { appliances } = await rig.status("mixed", signal);
        const addressOf = (name: string): string =>
          appliances.find((one) => one.name === name)?.addresses[0]?.address ?? "";
        await eventually(
          "an answer of the guest",
          signal,
          async () => (await run("server", "hostname")).trim() === "server",
        );
        for (const name of ["client", "client.mixed.consort"])
          assert.ok(
            (await run("server", "nslookup", name)).includes(`Address: ${addressOf("client")}\n`),
            name,
          );
        assert.match(
          await run("client", "getent", "hosts", "server.mixed.consort"),
          new RegExp(`^${addressOf("server")} `),
        );
        const asked = await rig.exec(
          "mixed",
          "server",
          ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/bin/true"],
          signal,
        );
        const server = addressOf("server");
        const namingAddress = server.replace(/\d+$/, "1");
        assert.match(
          `${asked.stdout}${asked.stderr}`,
          new RegExp(`lease of ${server} obtained from ${namingAddress}`),
        );
      },
    );

    await t.test("both are listed, held and removed in the same words", async () => {
      const listed = await consort(rig, "ps", "mixed");
      assert.match(listed, /mixed\/server +vm +(?:microvm|q35) tcg +running/);
      assert.match(listed, /mixed\/client +task +- +running/);
      await consort(rig, "suspend", "mixed");
      const { appliances } = await rig.status("mixed", signal);
      assert.deepEqual(
        appliances.map(({ state }) => state),
        ["suspended", "suspended"],
      );
      await consort(rig, "resume", "mixed");
    });

    await t.test("the cloud as it is can be asked what if", async () => {
      const told = await consort(rig, "simulate", "--from-live", "--until", "10s");
      assert.match(told, /appliance\.running +mixed\/server +running on /);
      assert.match(told, /Every invariant held/);
      assert.match(await consort(rig, "capacity", "examples/mixed.yaml"), /more cop(?:y|ies) of mixed/);
      await rig.down("mixed", signal);
    });
  }
  assert.deepEqual(await machineFacts(lab), before);
});

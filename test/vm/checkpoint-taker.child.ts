import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { bareVm, id, openHost } from "./checkpointing.ts";

/** Takes one checkpoint after the other of a machine that others started, until it is killed. */
const [machine = "", directory = "", first = "0"] = process.argv.slice(2);
const signal = new AbortController().signal;
const guest = await buildTinyGuest("/var/cache/consort/guests", () => {}, systemSubprocess(), signal);
const host = await openHost("a", directory);
host.checkpoints.usePeers(host.host, []);
host.vm = await bareVm(machine, guest.image);
host.checkpoints.look(signal);
for (let number = Number(first); ; number += 1) {
  const order = { appliance: id, id: `k${number}`, generation: "1", policy: { copies: 0, keep: 2 } };
  await host.checkpoints.take(order, signal).then(
    () => console.log(`taken k${number}`),
    (cause: unknown) => console.log(`failed k${number}: ${String(cause)}`),
  );
}

import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { MachineCheckpoints } from "#drivers/appliance/qemu/checkpoint/machines.ts";
import { restoreStarter, restoringStorage } from "#drivers/appliance/qemu/checkpoint/restorer.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { moveStarter } from "#drivers/appliance/qemu/move/starter.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import { checkpointStores } from "#drivers/checkpoint/stores.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { readTrees } from "#drivers/network/class-book.ts";
import { hostNetworkDriver } from "#drivers/network/host-network.ts";
import { linkOf, showLinks } from "#drivers/network/kernel/links.ts";
import { KernelSocket } from "#drivers/network/kernel/route-socket.ts";
import { netfilterProtocol } from "#drivers/network/kernel/set-elements.ts";
import { showPairs } from "#drivers/network/read-back.ts";
import { htbMajor } from "#drivers/network/ruleset.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { HostCheckpoints } from "#host/checkpoints.ts";
import { Converger } from "#host/converge.ts";
import type { Digest } from "#model/image.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { cgroups, clock, signal } from "../task/host.ts";
import type { KernelNetwork } from "./attacked-networks.ts";
import { blobToken, checkpointsIn, linkMark, movesIn, slotOptions, uplink } from "./attacked-place.ts";
import type { AttackedPlace, FromHost, ToHost } from "./attacked-place.ts";
import { subprocess } from "./guest-machine.ts";
import { machineOptions, tinyGuest } from "./machine-host.ts";

/**
 * The manager of one host, as far as its machines go: makes what is there match the plan it was last sent, pass by pass,
 * and tells what it sees, until somebody kills it. Its argument: where its host is, as JSON.
 */
const place = JSON.parse(process.argv[2] ?? "{}") as AttackedPlace;
const { stateDir } = place;
/** Whatever changes by itself wakes it sooner. */
const passMs = millis(300);
const routeProtocol = 0;
/** Nobody's on this machine. */
const namingUid = 199_998;
/** Machines of this test fit anyway. */
const room = { cpuMilli: 1_000_000 as never, memoryBytes: (2 ** 50) as never };

process.on("disconnect", () => process.exit(0));
const tell = (message: FromHost): void => void process.send?.(message);

const guest = await tinyGuest();
const parts = { stateDir, clock, random: systemRandom(), subprocess, log: silentLog };
const make = layerMaker(subprocess);
const layers = spooledLayers({ ...parts, directory: join(stateDir, "spool"), make });
await layers.recover(signal);
const moves = new VmMoves({
  address: place.address,
  directory: movesIn(place),
  processes: systemProcesses(machineLayout()),
  clock,
  log: silentLog,
});
moves.recover();
const pool = new WarmPool(parts);
const store = new DiskBlobStore({ directory: join(stateDir, "blobs"), log: silentLog });
await store.recover(signal);
const exchange = await openBlobExchange({ store, address: place.address, log: silentLog });
exchange.useToken(blobToken);
const checkpointer: MachineCheckpoints = new MachineCheckpoints({
  ...parts,
  directory: checkpointsIn(place),
  blobs: store,
  exchange,
  storeFor: checkpointStores({
    ...parts,
    blobs: store,
    exchange,
    transfer: openTransfer({ clock, roots: [] }),
    secretFor: () => Promise.resolve({}),
  }),
  linkBps: 125e6,
  running: (id) => driver.running(id),
});
const blobs = { has: () => true, path: (digest: Digest) => guest.files.get(digest) ?? store.path(digest) };
const restorer = { checkpoints: checkpointer, blobs: store, subprocess, clock };
const driver = new QemuDriver({
  ...machineOptions(slotOptions(place), guest),
  log: silentLog,
  blobs,
  mover: moves,
  starters: [
    moveStarter(moves),
    restoreStarter(restorer),
    new WarmStarter({ pool, qemuVersion: "this one", clock }),
  ],
  storage: restoringStorage(machineStorage({ layers, blobs }), restorer),
});
await driver.recover(signal);

const network = hostNetworkDriver({
  mark: linkMark,
  uplink: { ...uplink, address: place.address },
  ownNamespace: true,
  naming: {
    directory: join(stateDir, "naming"),
    uid: namingUid,
    cgroups,
    cgroupParent: place.cgroupParent,
    clock,
  },
  log: silentLog,
});
await network.recover(signal);
const [links, filters] = [new KernelSocket(routeProtocol), new KernelSocket(netfilterProtocol)];

let plan: HostPlan | undefined;
let wake = (): void => {};
const converger = new Converger({
  appliances: driver,
  network,
  tunnels: undefined,
  clock,
  log: silentLog,
  capacity: room,
  onSettled: () => wake(),
});
const checkpoints = new HostCheckpoints({
  ...parts,
  host: place.host,
  checkpointer,
  appliances: driver,
  onChange: () => wake(),
});
await checkpoints.recover(signal);
driver.onChange(() => wake());
driver.onSent((id, move) => tell({ kind: "sent", id, move }));

process.on("message", (message: ToHost) => {
  if (message.kind === "plan") plan = message.plan;
  if (message.kind === "word") driver.giveWord(message.id, message.move);
  if (message.kind === "run") void run(message);
  wake();
});

async function run({ number, id, script }: Extract<ToHost, { kind: "run" }>): Promise<void> {
  let said = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => void (said += Buffer.from(chunk).toString());
  try {
    await driver.exec(id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
    tell({ kind: "ran", number, said: said.trim() });
  } catch (cause) {
    tell({ kind: "refused", number, why: messageOf(cause) });
  }
}

for (;;) {
  const woken = new Promise<void>((resolve) => (wake = resolve));
  const now = plan;
  const found = now === undefined ? [] : await converger.pass(now, signal);
  const problems = found.map(({ message }) => message);
  if (now !== undefined) checkpoints.follow(now, signal);
  tell({
    kind: "saw",
    revision: now?.revision ?? 0,
    observed: driver.observe(),
    problems,
    blobPort: exchange.port,
    checkpoints: checkpointer.observe(),
    requests: checkpoints.report().checkpointRequests ?? [],
    onRecord: checkpointer.onRecord(),
    network: kernelNetwork(),
  });
  await Promise.race([woken, clock.sleep(passMs, signal)]);
}

function kernelNetwork(): KernelNetwork {
  const all = links.dump(showLinks()).flatMap((message) => linkOf(message, "") ?? []);
  const names = new Map(all.map(({ index, name }) => [index, name]));
  return {
    links: all.map(({ name }) => name).filter((name) => name.startsWith(linkMark)),
    classes: [...readTrees(links, htbMajor)].map(([index, tree]) => [names.get(index) ?? "", [...tree]]),
    pairs: showPairs(filters, { usedOnly: false }).map(({ from, to }) => `${from} > ${to}`),
  };
}

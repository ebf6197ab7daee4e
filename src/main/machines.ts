import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ProbedAcceleration } from "#drivers/appliance/qemu/acceleration.ts";
import { qemuProgram } from "#drivers/appliance/qemu/command/command.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { moveStarter } from "#drivers/appliance/qemu/move/starter.ts";
import { triedOncePerBoot } from "#drivers/appliance/qemu/kvm.ts";
import { clockKhzOf } from "#drivers/appliance/qemu/spec-of.ts";
import type { RunningVm } from "#drivers/appliance/qemu/vm.ts";
import { QemuGuestMeter } from "#drivers/appliance/qemu/usage/guest-meter.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { MachineHooks } from "#drivers/appliance/task/extras.ts";
import { MachineCheckpoints } from "#drivers/appliance/qemu/checkpoint/machines.ts";
import { restoreStarter, restoringStorage } from "#drivers/appliance/qemu/checkpoint/restorer.ts";
import { ObjectSweeper } from "#drivers/checkpoint/object-sweeper.ts";
import { checkpointStores } from "#drivers/checkpoint/stores.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { ConsortError } from "#base/errors.ts";
import type { Secret } from "#drivers/transfer/port.ts";
import type { ContentDrivers } from "#host/content.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { forgetShells } from "#drivers/ssh/run-over-ssh.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { probeKvm } from "#drivers/system/doctor/kvm-probe.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { GuestMeter } from "#drivers/usage/port.ts";
import type { HostConfig } from "#lab/config.ts";
import { outside } from "#main/host-content.ts";
import { sshDirectory } from "#main/job-parts.ts";
import type { Manager } from "#main/process.ts";

/** What runs virtual machines on a host, beside its tasks. */
export type Machines = {
  readonly driver: QemuDriver;
  readonly checkpoints: MachineCheckpoints;
  readonly sweeper: ObjectSweeper;
  readonly guests: GuestMeter;
  /** Whom it asks for them, once there is somebody. */
  readonly secrets: { ask: (name: string, signal: AbortSignal) => Promise<Secret> };
  close(): Promise<void>;
};

/** Whether there is a QEMU on this machine: without one a host takes no virtual machines, and says so. */
export function canRunMachines(path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, qemuProgram), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Recovered as far as the driver needs it; the driver itself, and the blobs, are the host manager's to recover. */
export async function openMachines(
  manager: Manager<HostConfig>,
  tasks: (hooks: MachineHooks) => TaskDriver,
  { store: blobs, exchange }: Pick<ContentDrivers, "store" | "exchange">,
): Promise<Machines> {
  const { config, clock, log, signal } = manager;
  const { stateDir } = config;
  const [subprocess, random] = [systemSubprocess(), systemRandom()];
  const make = layerMaker(subprocess);
  const layers = spooledLayers({ directory: join(stateDir, "spool"), make, clock, random, log });
  await layers.recover(signal);
  const acceleration = tryKvm(manager, subprocess);
  const moves = openMoves(manager);
  const qemuVersion = await subprocess.check(qemuProgram, ["--version"], signal);
  const warm = new WarmPool({ stateDir, clock, random, subprocess, log });
  const secrets: Machines["secrets"] = {
    ask: () => Promise.reject(new ConsortError("unavailable", "Cannot ask for a secret: not connected yet")),
  };
  const transfer = openTransfer({ clock, roots: [], ...outside(config) });
  const secretFor = (name: string, stop: AbortSignal): Promise<Secret> => secrets.ask(name, stop);
  const checkpoints: MachineCheckpoints = new MachineCheckpoints({
    directory: join(stateDir, "checkpoints"),
    blobs,
    exchange,
    storeFor: checkpointStores({ blobs, exchange, transfer, secretFor, clock, log }),
    subprocess,
    clock,
    log,
    linkBps: config.uplink.bandwidthBps / 8,
    running: (id) => (moves.isHandedOver(id) ? undefined : driver.running(id)),
    startedAt: (id) => driver.observe().find((one) => one.id === id)?.startedAt,
  });
  const restorer = { checkpoints, blobs, subprocess, clock };
  const driver = new QemuDriver({
    stateDir,
    mover: moves,
    starters: [
      moveStarter(moves),
      restoreStarter(restorer),
      new WarmStarter({ pool: warm, qemuVersion, clock }),
    ],
    tasks,
    blobs,
    storage: restoringStorage(machineStorage({ layers, blobs }), restorer),
    acceleration,
    standsStill: (id) => checkpoints.standsStill(id),
    onGone: (id) => forgetShells({ directory: sshDirectory(config) }, id),
    clockKhz: clockKhzOf(readFileSync("/proc/cpuinfo", "utf8")),
    subprocess,
    random,
    clock,
    log,
  });
  return {
    driver,
    checkpoints,
    sweeper: new ObjectSweeper({ transfer, secretFor }),
    guests: new QemuGuestMeter({ running: () => guestsOf(driver, moves), clock, signal }),
    secrets,
    close: async () => {
      await Promise.all([warm.close(), moves.close()]);
      await layers.close();
    },
  };
}

/** Of one that is handed over to another host, nothing is asked here any more. */
function guestsOf(driver: QemuDriver, moves: VmMoves): RunningVm[] {
  return driver.observe().flatMap(({ id, state }) => {
    const vm = state === "running" && !moves.isHandedOver(id) ? driver.running(id) : undefined;
    return vm === undefined ? [] : [vm];
  });
}

function openMoves({ config, clock, log }: Manager<HostConfig>): VmMoves {
  const moves = new VmMoves({
    address: config.uplink.address,
    directory: join(config.stateDir, "moves"),
    processes: systemProcesses(machineLayout()),
    clock,
    log,
  });
  moves.recover();
  return moves;
}

/** In the background, so that it is known and reported before it is asked for. */
function tryKvm({ config, log, signal }: Manager<HostConfig>, subprocess: Subprocess): ProbedAcceleration {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const trial = triedOncePerBoot(config.stateDir, boot, async () => {
    const finding = await probeKvm(subprocess, process.execPath, process.arch, signal);
    log.info(`KVM ${finding.found}`, { status: finding.status });
    return finding.status === "ok";
  });
  const acceleration = new ProbedAcceleration(trial);
  acceleration.known().catch((cause: unknown) => log.warn("Cannot try KVM", { cause }));
  return acceleration;
}

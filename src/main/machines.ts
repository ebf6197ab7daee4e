import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ProbedAcceleration } from "#drivers/appliance/qemu/acceleration.ts";
import { qemuProgram } from "#drivers/appliance/qemu/command/command.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { moveStarter } from "#drivers/appliance/qemu/move/starter.ts";
import { triedOncePerBoot } from "#drivers/appliance/qemu/kvm.ts";
import { clockKhzOf } from "#drivers/appliance/qemu/spec-of.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { MachineHooks } from "#drivers/appliance/task/extras.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { hostKey } from "#drivers/ssh/host-key.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { probeKvm } from "#drivers/system/doctor/kvm-probe.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { HostConfig } from "#lab/config.ts";
import type { Manager } from "#main/process.ts";

/** What runs virtual machines on a host, beside its tasks. */
export type Machines = {
  readonly driver: QemuDriver;
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
  { config, clock, log, signal }: Manager<HostConfig>,
  tasks: (hooks: MachineHooks) => TaskDriver,
  blobs: BlobStore,
): Promise<Machines> {
  const { stateDir } = config;
  const [subprocess, random] = [systemSubprocess(), systemRandom()];
  const make = layerMaker(subprocess);
  const layers = spooledLayers({ directory: join(stateDir, "spool"), make, clock, random, log });
  await layers.recover(signal);
  const { publicKey } = await hostKey(join(stateDir, "ssh"), subprocess, signal);
  const acceleration = new ProbedAcceleration(
    triedOncePerBoot(stateDir, readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(), async () => {
      const finding = await probeKvm(subprocess, process.execPath, process.arch, signal);
      log.info(`KVM ${finding.found}`, { status: finding.status });
      return finding.status === "ok";
    }),
  );
  // In the background, so that it is known and reported before it is asked for.
  acceleration.known().catch((cause: unknown) => log.warn("Cannot try KVM", { cause }));
  const moves = new VmMoves({
    address: config.uplink.address,
    directory: join(stateDir, "moves"),
    processes: systemProcesses(machineLayout()),
    clock,
    log,
  });
  moves.recover();
  const qemuVersion = await subprocess.check(qemuProgram, ["--version"], signal);
  const warm = new WarmPool({ stateDir, clock, random, subprocess, log });
  const driver = new QemuDriver({
    stateDir,
    mover: moves,
    starters: [moveStarter(moves), new WarmStarter({ pool: warm, qemuVersion, clock })],
    tasks,
    blobs,
    storage: machineStorage({ layers, blobs }),
    acceleration,
    hostKeys: [publicKey],
    clockKhz: clockKhzOf(readFileSync("/proc/cpuinfo", "utf8")),
    subprocess,
    random,
    clock,
    log,
  });
  return {
    driver,
    close: async () => {
      await Promise.all([warm.close(), moves.close()]);
      await layers.close();
    },
  };
}

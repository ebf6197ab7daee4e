import { mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { codeOf } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { SshPlace } from "#drivers/appliance/port.ts";
import type { Starter } from "#drivers/appliance/qemu/starter.ts";
import type { MachineStorage } from "#drivers/appliance/qemu/storage.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { SshParts } from "#drivers/ssh/run-over-ssh.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";
import { clock } from "../test/task/host.ts";
import { subprocess } from "../test/vm/guest-machine.ts";
import { machineHost, machinePlanOf } from "../test/vm/machine-host.ts";
import { front } from "../test/vm/plans.ts";
import { answersAs } from "./ssh-answers.ts";

/** Times of one machine from the request on, in ms. */
export type Begun = {
  readonly plan: AppliancePlan;
  readonly createdMs: number;
  /** Its guest's instructions are carried out: it boots, or goes on. */
  readonly runsMs: number;
  readonly answersMs: number;
};

type Asked = {
  readonly start: "cold" | "warm";
  /** What its plan says beside that. */
  readonly vm?: Partial<VmPlan>;
};

/** One host with its driver, as a host manager has it; machines are asked for and answer over SSH. */
export type MachineBench = AsyncDisposable & {
  readonly driver: QemuDriver;
  /** Resolves when its guest runs, whether or not it has booted. */
  run(name: string, member: number, asked: Asked): Promise<Omit<Begun, "answersMs"> & { beganAt: number }>;
  /** Resolves when the machine answers SSH as itself. */
  answers(plan: AppliancePlan): Promise<void>;
  /** Both, one after the other. */
  begin(name: string, member: number, start: "cold" | "warm"): Promise<Begun>;
  /** A snapshot is there for machines that are begun warm. */
  prepareWarm(): Promise<void>;
  end(plan: AppliancePlan): Promise<void>;
};

const retryMs = millis(5);

/** `storage`: of guests with disks. */
export async function openMachineBench(
  guest: BuiltGuest,
  signal: AbortSignal,
  storage?: MachineStorage,
): Promise<MachineBench> {
  const directory = mkdtempSync("/var/lib/consort-bench-vm-");
  const ssh: SshParts = { directory: join(directory, "ssh") };
  const pool = new WarmPool({
    stateDir: directory,
    clock,
    random: systemRandom(),
    subprocess,
    log: silentLog,
  });
  const starters: readonly Starter[] = [new WarmStarter({ pool, qemuVersion: "of this run", clock })];
  const disks = storage === undefined ? {} : { storage };
  const host = await machineHost(guest, { starters, ...disks });
  const { driver } = host;
  const bench: MachineBench = {
    driver,
    async run(name, member, asked) {
      const plan = planOf(guest, name, member, asked);
      const beganAt = performance.now();
      await driver.create(plan, new Map(), signal);
      const netns = basename(driver.observe().find(({ id }) => id === plan.id)?.netns ?? "");
      // What the network driver does for it: one end of a link, behind which nobody is.
      const link = ["link", "add", "eth0", "type", "veth", "peer", "name", "far0"];
      await subprocess.check("ip", ["-n", netns, ...link], signal);
      const createdMs = performance.now() - beganAt;
      await startAgain(driver, plan, signal);
      return { plan, createdMs, runsMs: performance.now() - beganAt, beganAt };
    },
    answers(plan) {
      const place = (): SshPlace | undefined => driver.observe().find(({ id }) => id === plan.id)?.ssh;
      return answersAs(plan.vm?.hostname ?? "", place, ssh, plan.id, signal);
    },
    async begin(name, member, start) {
      const { plan, createdMs, runsMs, beganAt } = await bench.run(name, member, { start });
      await bench.answers(plan);
      return { plan, createdMs, runsMs, answersMs: performance.now() - beganAt };
    },
    async prepareWarm() {
      const { plan } = await bench.begin("first", 250, "warm");
      await bench.end(plan);
    },
    end: ({ id }) => driver.destroy(id, signal),
    async [Symbol.asyncDispose]() {
      await pool.close();
      await host[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return bench;
}

function planOf(guest: BuiltGuest, name: string, member: number, { start, vm }: Asked): AppliancePlan {
  // What such a guest has where its file does not say.
  const memoryBytes = mebibytes(guest.image.name === "tiny" ? 128 : 512);
  const plan = machinePlanOf(guest, { memoryBytes });
  if (plan.vm === undefined) throw new Error("it is no machine");
  return {
    ...plan,
    id: applianceId(ensembleName("bench"), applianceName(name)),
    interfaces: [
      {
        name: "eth0",
        network: front,
        mac: macAddress(`02:00:00:00:01:${member.toString(16).padStart(2, "0")}`),
        address: ipv4Address(`10.9.0.${member}`),
        prefixLength: 24,
      },
    ],
    // The machine that whoever asks for none in particular gets.
    vm: { ...plan.vm, machine: "auto", memoryBytesMax: memoryBytes, hostname: name, start, ...vm },
  };
}

/** As a host manager does: again while what it needs is being made. */
async function startAgain(driver: QemuDriver, { id }: AppliancePlan, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await driver.start(id, signal);
      if (driver.observe().some((one) => one.id === id && one.state === "running")) return;
    } catch (cause) {
      if (codeOf(cause) !== "unavailable") throw cause;
    }
    await clock.sleep(retryMs, signal);
  }
}

import { basename, dirname, join } from "node:path";
import { applianceId, applianceName, ensembleName, macAddress } from "#base/ids.ts";
import type { ApplianceId, MacAddress } from "#base/ids.ts";
import type { Clock, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { qemuArguments } from "../command/command.ts";
import { insideDirectory, socketNames } from "../command/spec.ts";
import type { MachineSpec } from "../command/spec.ts";
import { writeContextDisk } from "../context-disk.ts";
import { slotPlan } from "../inner-plan.ts";
import { writeLaunch } from "../launch.ts";
import { MachinePlace } from "../place.ts";
import { connectQmp } from "../qmp.ts";
import type { MachinePlan } from "../storage.ts";
import type { Qmp } from "../vm.ts";
import type { MachineKind } from "./kind.ts";

/** No user's: it is no machine that anybody declared. */
const templates = ensembleName("consort-warm");
/** Between two attempts to reach a QEMU that has only just begun. */
const reachAgainMs = millis(20);
const entropyBytes = 64;

export const memoryFile = "memory";

export type TemplateTools = {
  readonly clock: Clock;
  readonly random: Random;
  readonly subprocess: Subprocess;
};

/** The QEMU of a machine that is nobody's, confined as all of them are; it waits to be told to go on. */
export type Template = {
  readonly qmp: Qmp;
  readonly directory: string;
  readonly inside: string;
};

const templateId = (kind: MachineKind): ApplianceId => applianceId(templates, applianceName(`t-${kind.key}`));

const placeOf = (kind: MachineKind): MachinePlace =>
  new MachinePlace(dirname(kind.place.outer), templateId(kind));

/** Starts it. Whatever becomes of that, `removeTemplate` takes it away. */
export async function startTemplate(
  kind: MachineKind,
  slots: TaskDriver,
  { clock, random, subprocess }: TemplateTools,
  signal: AbortSignal,
): Promise<Template> {
  const plan = templatePlan(kind);
  const { id } = plan;
  const place = placeOf(kind);
  place.remove();
  place.make();
  await slots.create(slotPlan(plan), new Map(), signal);
  const slot = slots.slotOf(id);
  if (slot === undefined) throw new Error(`no slot was made for ${id}`);
  const { uid, netns } = slot;
  const { directory } = place;
  const identity = newIdentity(random);
  const entropy = random.hex(entropyBytes);
  writeContextDisk(
    { directory, uid },
    guestContext({ plan, identity, networks: new Map(), hostKeys: [], entropy }),
  );
  const taps = kind.spec.nics.map(({ tap }) => `tuntap add dev ${tap} mode tap user ${uid}\n`).join("");
  await subprocess.check("ip", ["-n", basename(netns), "-batch", "-"], signal, { input: taps });
  writeLaunch(directory, qemuArguments(templateSpec(kind, place)));
  await slots.start(id, signal);
  const qmp = await reach(join(directory, socketNames.qmp), () => slots.slotOf(id)?.state, clock, signal);
  return { qmp, directory, inside: insideDirectory };
}

/** Nothing of it is left when this resolves. */
export async function removeTemplate(
  kind: MachineKind,
  slots: TaskDriver,
  signal: AbortSignal,
): Promise<void> {
  await slots.destroy(templateId(kind), signal);
  placeOf(kind).remove();
}

/** A machine like those of the kind, without name, address, keys, anything to run, or a promise of the processors. */
function templatePlan({ plan, key }: MachineKind): MachinePlan & { readonly id: ApplianceId } {
  const { move: _move, restore: _restore, checkpoint: _checkpoint, disk: _disk, ...vm } = plan.vm;
  return {
    id: applianceId(templates, applianceName(`t-${key}`)),
    kind: "vm",
    generation: key,
    command: [],
    env: {},
    files: [],
    memoryBytes: plan.memoryBytes,
    restart: { ...plan.restart, when: "never" },
    stopGraceMs: millis(0),
    interfaces: [],
    vm: { ...vm, hostname: "template", sshKeys: [], start: "cold" },
  };
}

/** Its memory is a file that others may map; its interfaces are there, and lead nowhere. */
function templateSpec({ spec, place: first }: MachineKind, place: MachinePlace): MachineSpec {
  const { boot } = spec;
  // Its kernel is what the first machine of the kind has.
  const own = (inside: string): string =>
    place.inside(join(first.directory, inside.slice(insideDirectory.length)));
  return {
    ...spec,
    boot:
      boot.kind === "kernel"
        ? {
            ...boot,
            kernel: own(boot.kernel),
            ...(boot.initrd === undefined ? {} : { initrd: own(boot.initrd) }),
          }
        : boot,
    memory: { kind: "file", path: `${insideDirectory}/${memoryFile}`, shared: true },
    nics: spec.nics.map((nic, index) => ({ ...nic, mac: nobodysMac(index) })),
  };
}

const nobodysMac = (index: number): MacAddress =>
  macAddress(`02:ff:ff:ff:ff:${index.toString(16).padStart(2, "0")}`);

async function reach(
  path: string,
  state: () => string | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<Qmp> {
  for (;;) {
    const qmp = await connectQmp(path, signal).catch((cause: unknown) => {
      if (signal.aborted || (state() !== "running" && state() !== "starting")) throw cause;
    });
    if (qmp !== undefined) return qmp;
    await clock.sleep(reachAgainMs, signal);
  }
}

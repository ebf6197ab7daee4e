import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { isFlag, isNumber, isText, listOf, optional, shape } from "#base/shape.ts";
import { millis } from "#base/units.ts";
import type { GuestAgent, Qmp, RunningVm } from "../vm.ts";
import { becomesSo, told } from "./guest-answer.ts";

/** A guest that means to let go of a processor does so in less. */
const unplugMsMax = millis(5_000);

const areSlots = listOf(
  shape({
    type: isText,
    props: shape({
      "socket-id": optional(isNumber),
      "core-id": optional(isNumber),
      "thread-id": optional(isNumber),
    }),
    "qom-path": optional(isText),
  }),
);
const areRunning = listOf(shape({ "cpu-index": isNumber }));
const isKvm = shape({ enabled: isFlag });
const areGuests = listOf(shape({ "logical-id": isNumber, online: isFlag }));

type Processor = Awaited<ReturnType<typeof processorsOf>>[number];
type GuestProcessor = { readonly "logical-id": number; readonly online: boolean };
type Vm = Pick<RunningVm, "qmp" | "agent" | "id" | "plan">;

/**
 * Gives a machine that runs more processors, or takes some away. A guest must do its part: where it has an agent it is
 * asked to, and asked again whether it has. Rejects when it has not, and then has what it had.
 *
 * An emulated machine has all that it may ever have from the beginning, and its guest turns them on and off: QEMU 7.2
 * ends at an assertion when one is plugged in while all room for translated code is given away, and spoils its own
 * memory when one is taken out.
 */
export async function resizeProcessors(
  vm: Vm,
  change: Change,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { from, to } = change;
  if (from === to) return;
  const resize = (await isEmulated(vm.qmp, signal)) ? turn : to > from ? plugIn : unplug;
  await resize(vm, change, clock, signal);
}

/**
 * Has a guest use as many processors as its machine was last resized to, where its QEMU has another number: when it
 * begins anew, or came with the memory of a machine of another size. Rejects when it does not.
 */
export async function settleProcessors(
  vm: Vm,
  count: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const there = await processorCount(vm.qmp, signal);
  if (there >= count) return guestHas(vm, count, clock, signal);
  await resizeProcessors(vm, { from: there, to: count }, clock, signal);
}

/** How many a machine has, whether its guest uses them or not: what continues it has to have as many. */
export async function processorCount(qmp: Qmp, signal: AbortSignal): Promise<number> {
  return told(await qmp.execute("query-cpus-fast", {}, signal), areRunning, "QEMU").length;
}

type Change = { readonly from: number; readonly to: number };

async function turn(vm: Vm, { from, to }: Change, clock: Clock, signal: AbortSignal): Promise<void> {
  const there = await processorCount(vm.qmp, signal);
  if (to > there)
    throw refused(vm, "grow", `it is emulated and began with ${there} processors, ${to} were wanted`);
  if (!hasAgent(vm))
    throw refused(vm, "resize", "it is emulated, and its guest has no agent to turn a processor on or off");
  try {
    await guestHas(vm, to, clock, signal);
  } catch (cause) {
    if (!signal.aborted) await guestHas(vm, from, clock, signal).catch(() => {});
    throw cause;
  }
}

async function plugIn(vm: Vm, { to }: Change, clock: Clock, signal: AbortSignal): Promise<void> {
  const slots = await processorsOf(vm.qmp, signal);
  const empty = slots.filter((slot) => !isThere(slot));
  const there = slots.length - empty.length;
  const wanted = empty.toSorted(byPlace).slice(0, to - there);
  if (wanted.length < to - there)
    throw refused(vm, "grow", `it has room for ${slots.length} processors, ${to} were wanted`);
  const plugged: Processor[] = [];
  try {
    for (const slot of wanted) {
      const args = { driver: slot.type, id: nameOf(slot), ...slot.props };
      await vm.qmp.execute("device_add", args, signal);
      plugged.push(slot);
    }
    await guestHas(vm, to, clock, signal);
  } catch (cause) {
    if (signal.aborted) throw cause;
    for (const slot of plugged) await takeOut(vm, slot, clock, signal).catch(() => {});
    throw cause;
  }
}

async function unplug(vm: Vm, { to }: Change, clock: Clock, signal: AbortSignal): Promise<void> {
  const there = (await processorsOf(vm.qmp, signal)).filter(isThere);
  const movable = there.filter((slot) => slot["qom-path"]?.endsWith(`/${nameOf(slot)}`)).toSorted(byPlace);
  const going = movable.slice(Math.max(0, movable.length - (there.length - to)));
  if (there.length - going.length > to)
    throw refused(vm, "shrink", `${there.length - going.length} of its processors were there when it began`);
  await guestHas(vm, to, clock, signal);
  for (const slot of going.toReversed()) {
    if (await takeOut(vm, slot, clock, signal)) continue;
    const left = await processorCount(vm.qmp, signal);
    await guestHas(vm, left, clock, signal).catch(() => {});
    throw refused(vm, "shrink", `its guest does not let go of a processor, it still has ${left}`);
  }
}

/** False: the guest did not let go of it in time. */
async function takeOut(vm: Vm, slot: Processor, clock: Clock, signal: AbortSignal): Promise<boolean> {
  // A request that is still open is told again by QEMU as an error; what counts is what comes of it.
  await vm.qmp.execute("device_del", { id: nameOf(slot) }, signal).catch(() => {});
  const gone = async (): Promise<boolean> =>
    (await processorsOf(vm.qmp, signal)).every((one) => nameOf(one) !== nameOf(slot) || !isThere(one));
  return becomesSo(gone, clock, signal, unplugMsMax);
}

/** Turns processors on and off in the guest until so many are on. */
async function guestHas(vm: Vm, count: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (!hasAgent(vm)) return;
  const { agent } = vm;
  const settle = async (): Promise<boolean> => {
    const all = await guestProcessors(agent, signal);
    if (all.filter(({ online }) => online).length === count) return true;
    const wrong = all
      .map((one, index) => ({ ...one, wanted: index < count }))
      .filter(({ online, wanted }) => online !== wanted)
      .map((one) => ({ "logical-id": one["logical-id"], online: one.wanted }));
    if (wrong.length > 0) await agent.execute("guest-set-vcpus", { vcpus: wrong }, signal);
    return false;
  };
  if (await becomesSo(settle, clock, signal)) return;
  throw refused(vm, "resize", `its guest does not use ${count} processors`);
}

async function guestProcessors(agent: GuestAgent, signal: AbortSignal): Promise<readonly GuestProcessor[]> {
  const all = told(await agent.execute("guest-get-vcpus", {}, signal), areGuests, "the guest's agent");
  return all.toSorted((a, b) => a["logical-id"] - b["logical-id"]);
}

async function isEmulated(qmp: Qmp, signal: AbortSignal): Promise<boolean> {
  return !told(await qmp.execute("query-kvm", {}, signal), isKvm, "QEMU").enabled;
}

const hasAgent = ({ plan }: Vm): boolean => plan.vm?.base.features.includes("agent") === true;

async function processorsOf(qmp: Qmp, signal: AbortSignal) {
  return told(await qmp.execute("query-hotpluggable-cpus", {}, signal), areSlots, "QEMU");
}

const isThere = (slot: Processor): boolean => slot["qom-path"] !== undefined;

const placeOf = ({ props }: Processor): readonly number[] => [
  props["socket-id"] ?? 0,
  props["core-id"] ?? 0,
  props["thread-id"] ?? 0,
];

function byPlace(a: Processor, b: Processor): number {
  const [one, other] = [placeOf(a), placeOf(b)];
  return one.map((value, at) => value - (other[at] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

const nameOf = (slot: Processor): string => `cpu-${placeOf(slot).join("-")}`;

const refused = ({ id }: Vm, verb: string, why: string): ConsortError =>
  new ConsortError("driver_failed", `Cannot ${verb} ${id}: ${why}`);

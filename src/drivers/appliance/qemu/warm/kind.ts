import { digest } from "#base/digest.ts";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { MachineSpec } from "../command/spec.ts";
import type { MachinePlace } from "../place.ts";
import type { Beginning } from "../starter.ts";
import type { MachinePlan } from "../storage.ts";
import { ramBytes } from "../write-tracking.ts";

/** Machines that could go on from one and the same snapshot. */
export type MachineKind = {
  readonly key: string;
  readonly spec: MachineSpec;
  /** Of the first machine that wanted it: the snapshot's own differs from it in all that is identity. */
  readonly plan: MachinePlan;
  readonly place: MachinePlace;
};

/**
 * What must be the same of a machine for it to go on from a snapshot: everything its guest has seen of it. And its
 * ensemble: QEMU opens the memory file of a snapshot for writing, so those who share one could harm each other.
 */
export function kindOf(
  {
    record: { plan },
    spec,
    place,
  }: Pick<Beginning, "spec" | "place"> & { readonly record: { readonly plan: MachinePlan } },
  qemuVersion: string,
): MachineKind {
  const { name: _name, memory: _memory, nics, disks, incoming: _incoming, ...machine } = spec;
  const ensemble = plan.id.slice(0, plan.id.indexOf("/"));
  const seen = {
    ...machine,
    ramBytes: ramBytes(spec.memoryBytes),
    nics: nics.map(({ name }) => name),
    disks: disks.map(({ name, readOnly }) => ({ name, readOnly })),
    image: plan.vm.base.boot,
    ensemble,
    qemuVersion,
  };
  return { key: digest(seen), spec, plan, place };
}

/** Why a machine cannot go on from a snapshot of another one; undefined: it can. */
export function coldReason(plan: MachinePlan, spec: MachineSpec): string | undefined {
  if (!plan.vm.base.features.includes("context"))
    return `a guest of the image ${plan.vm.base.name} cannot be told who it is while it runs`;
  if (spec.boot.kind !== "kernel") return "it boots from a disk";
  const own = spec.disks.filter(({ name }) => name !== diskSerials.context);
  if (own.length > 0) return `it has disks (${own.map(({ name }) => name).join(", ")})`;
  return undefined;
}

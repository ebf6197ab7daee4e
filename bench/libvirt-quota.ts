import { existsSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { openLibvirt } from "./libvirt.ts";

const never = new AbortController().signal;

/** What libvirt puts the groups of all its machines into. */
const groupOfAll = "machine";

/** An emulated machine that only looks for something to boot from: its processor's limit is what is changed. */
const domain = (name: string): string => `<domain type="qemu">
  <name>${name}</name>
  <memory unit="MiB">64</memory>
  <vcpu>1</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type="usb" model="none"/>
    <serial type="null"/>
  </devices>
</domain>
`;

export type LimitedDomain = AsyncDisposable & {
  /** Of the time of one processor, in every 100 ms; resolves when libvirt says that it is so. */
  setQuota(quotaUs: number, signal: AbortSignal): Promise<void>;
};

/** A running machine of libvirt whose CPU limit `virsh schedinfo` changes. @throws when it does not run here */
export async function openLimitedDomain(signal: AbortSignal): Promise<LimitedDomain> {
  await using undo = new AsyncDisposableStack();
  const { v1, v2 } = machineLayout();
  const trees = [...new Set([...Object.values(v1), ...(v2 === undefined ? [] : [v2])])];
  const made = trees.map((tree) => join(tree, groupOfAll)).filter((directory) => !existsSync(directory));
  undo.defer(() => {
    for (const directory of made) if (existsSync(directory)) rmdirSync(directory);
  });
  const libvirt = undo.use(await openLibvirt(signal, ["cpu"]));
  const name = `consort-bench-${process.pid}`;
  const file = join(libvirt.cell.directory, "limited.xml");
  writeFileSync(file, domain(name));
  undo.defer(async () => {
    await libvirt.virsh(["destroy", name], never).catch(() => undefined);
  });
  await libvirt.virsh(["create", file], signal);
  const owned = undo.move();
  return {
    setQuota: async (quotaUs, stop) => {
      await libvirt.virsh(["schedinfo", name, "--live", `vcpu_quota=${quotaUs}`], stop);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

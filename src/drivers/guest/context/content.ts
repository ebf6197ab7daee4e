import { Buffer } from "node:buffer";
import type { NetworkId } from "#base/ids.ts";
import { ConsortError } from "#base/errors.ts";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { AppliancePlan, NamingPlan, VmPlan } from "#protocol/host-plan.ts";
import { checkContext, mountName } from "./checks.ts";
import { cloudInit } from "./cloud-init.ts";
import type { CloudInit } from "./cloud-init.ts";
import type { GuestIdentity } from "./identity.ts";
import { contextLimits } from "./limits.ts";
import { commandScript, steps } from "./steps.ts";
import { tarArchive } from "./tar.ts";

/** One network, as far as its guests must know it. */
export type ContextNetwork = { readonly mtu: number; readonly naming?: NamingPlan };

export type ContextInputs = {
  readonly plan: AppliancePlan & { readonly vm: VmPlan };
  readonly identity: GuestIdentity;
  readonly networks: ReadonlyMap<NetworkId, ContextNetwork>;
  /** Who may log in beside those the plan names: the host manager's own key. */
  readonly hostKeys: readonly string[];
  /** Random bytes, in hexadecimal; another one each time. */
  readonly entropy: string;
  /** Only for a guest that is resumed: its clock stood still. */
  readonly clockMs?: number;
};

/** What a guest takes its identity from. */
export type GuestContext = {
  readonly instance: string;
  /** Of our own guests: a script and what it refers to (see rootfs/context.sh). */
  readonly archive: Uint8Array;
  /** Of guests that read cloud-init's NoCloud. */
  readonly cloudInit: CloudInit;
};

/** A file system a guest mounts. */
export type ContextMount = {
  /** Of the disk. */
  readonly serial: string;
  readonly path: string;
  readonly type: "ext4" | "squashfs";
  readonly options: string;
};

/** Everything a guest is told, in the terms of both forms. */
export type ContextFacts = ContextInputs & {
  readonly mounts: readonly ContextMount[];
  readonly swap: boolean;
  readonly hosts: string;
  readonly resolvConf: string | undefined;
  readonly domain: string | undefined;
  readonly authorizedKeys: readonly string[];
  readonly command: string | undefined;
};

/**
 * The context of one guest: the same inputs give the same bytes.
 * @throws bad_input for names and paths that are tricks; limit_exceeded
 */
export function guestContext(inputs: ContextInputs): GuestContext {
  checkContext(inputs);
  const facts = factsOf(inputs);
  const { script, files } = steps(facts);
  const archive = tarArchive([{ path: "steps", mode: 0o600, content: Buffer.from(script) }, ...files]);
  if (archive.length > contextLimits.contextBytesMax)
    throw new ConsortError(
      "limit_exceeded",
      `Cannot give ${inputs.plan.id} its files: ${archive.length} bytes, ${contextLimits.contextBytesMax} at most`,
    );
  return { instance: inputs.identity.instance, archive, cloudInit: cloudInit(facts) };
}

function factsOf(inputs: ContextInputs): ContextFacts {
  const { vm, command, interfaces } = inputs.plan;
  const naming = interfaces
    .map(({ network }) => inputs.networks.get(network)?.naming)
    .filter((each) => each !== undefined);
  const domain = naming[0]?.domain;
  const resolvConf =
    domain === undefined
      ? undefined
      : [`search ${domain}`, ...naming.map(({ address }) => `nameserver ${address}`), ""].join("\n");
  const full = domain === undefined ? vm.hostname : `${vm.hostname}.${domain} ${vm.hostname}`;
  const own = interfaces[0]?.address ?? "127.0.1.1";
  return {
    ...inputs,
    mounts: mountsOf(vm),
    swap: vm.swapBytes !== undefined,
    hosts: `127.0.0.1 localhost\n${own} ${full}\n`,
    resolvConf,
    domain,
    authorizedKeys: [...vm.sshKeys, ...inputs.hostKeys],
    command: command.length === 0 ? undefined : commandScript(inputs.plan),
  };
}

function mountsOf(vm: VmPlan): readonly ContextMount[] {
  const software = vm.software.map((image, index): ContextMount => ({
    serial: diskSerials.software(index),
    path: `/opt/${mountName(image)}`,
    type: "squashfs",
    options: "ro,nodev,nosuid",
  }));
  const home: ContextMount = {
    serial: diskSerials.home,
    path: "/home",
    type: "ext4",
    options: "rw,nodev,nosuid",
  };
  return vm.homeBytes === undefined ? software : [...software, home];
}

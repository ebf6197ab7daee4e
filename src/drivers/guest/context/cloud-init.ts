import { Buffer } from "node:buffer";
import { diskSerials } from "#drivers/image/layers/serials.ts";
import type { ContextFacts } from "./content.ts";

/** The three files of cloud-init's NoCloud source. */
export type CloudInit = {
  readonly metaData: string;
  readonly userData: string;
  readonly networkConfig: string;
};

/** JSON is YAML, and needs no rules of quoting of its own. */
const yaml = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`;

/** For guests that are not ours: whatever has cloud-init takes the same identity, files and command. */
export function cloudInit(facts: ContextFacts): CloudInit {
  const { plan, identity } = facts;
  return {
    metaData: yaml({ "instance-id": identity.instance, "local-hostname": plan.vm.hostname }),
    userData: `#cloud-config\n${yaml(userData(facts))}`,
    networkConfig: yaml(networkConfig(facts)),
  };
}

function userData(facts: ContextFacts): Readonly<Record<string, unknown>> {
  const { plan, identity, domain, command } = facts;
  const fileOf = (path: string, content: string, permissions: string): object => ({
    path,
    permissions,
    encoding: "b64",
    content: Buffer.from(content).toString("base64"),
  });
  const started = "/var/lib/consort-command";
  return {
    hostname: plan.vm.hostname,
    ...(domain === undefined ? {} : { fqdn: `${plan.vm.hostname}.${domain}` }),
    manage_etc_hosts: true,
    disable_root: false,
    ssh_pwauth: false,
    ssh_deletekeys: true,
    ssh_genkeytypes: [],
    ssh_keys: {
      ed25519_private: identity.sshHostKey.openSsh,
      ed25519_public: identity.sshHostKey.publicKey,
    },
    users: [{ name: "root", lock_passwd: true, ssh_authorized_keys: facts.authorizedKeys }],
    random_seed: { data: facts.entropy, encoding: "raw" },
    write_files: [
      ...plan.files.map(({ path, content, mode }) =>
        fileOf(path, content, `0${mode.toString(8).padStart(3, "0")}`),
      ),
      ...(command === undefined ? [] : [fileOf(started, command, "0700")]),
    ],
    mounts: [
      ...facts.mounts.map(({ serial, path, type, options }) => [
        `/dev/disk/by-id/virtio-${serial}`,
        path,
        type,
        `${options},nofail`,
        "0",
        "0",
      ]),
      ...(facts.swap
        ? [[`/dev/disk/by-id/virtio-${diskSerials.swap}`, "none", "swap", "sw,nofail", "0", "0"]]
        : []),
    ],
    ...(command === undefined
      ? {}
      : { bootcmd: [], runcmd: [["sh", "-c", `${started} >/dev/console 2>&1 &`]] }),
  };
}

function networkConfig({ plan, networks }: ContextFacts): Readonly<Record<string, unknown>> {
  const ethernets = plan.interfaces.map(({ name, mac, address, prefixLength, network }) => {
    const { mtu, naming } = networks.get(network) ?? {};
    return [
      name,
      {
        match: { macaddress: mac },
        "set-name": name,
        addresses: [`${address}/${prefixLength}`],
        ...(mtu === undefined ? {} : { mtu }),
        ...(naming === undefined
          ? {}
          : { nameservers: { addresses: [naming.address], search: [naming.domain] } }),
        // The host manager's link-local address never leaves the host.
        ...(name === "eth0" ? { routes: [{ to: "169.254.0.0/16", via: "0.0.0.0", scope: "link" }] } : {}),
      },
    ] as const;
  });
  return { version: 2, ethernets: Object.fromEntries(ethernets) };
}

import { applianceId, applianceName, ensembleName, ipv4Address, macAddress, networkId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Image } from "#model/image.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ContextInputs } from "./content.ts";

const shop = ensembleName("shop");
const front = networkId(shop, "front");
const image: Image = {
  name: "tiny",
  role: "base",
  architecture: "amd64",
  features: ["context"],
  registeredAtMs: 0,
};

/** Of a machine "db" on one network. */
export function inputsOf(
  change: Partial<AppliancePlan> = {},
  vm: {
    readonly hostname: string;
    readonly software?: readonly string[];
    readonly homeBytes?: Bytes;
    readonly swapBytes?: Bytes;
  } = { hostname: "db" },
  naming = false,
): ContextInputs {
  const { software = [], ...rest } = vm;
  return {
    plan: {
      id: applianceId(shop, applianceName("db")),
      kind: "vm",
      generation: "1",
      command: [],
      env: {},
      files: [],
      restart: { when: "never", backoffMsMin: millis(1), backoffMsMax: millis(2) },
      stopGraceMs: millis(1000),
      interfaces: [
        {
          name: "eth0",
          network: front,
          mac: macAddress("02:00:00:00:00:05"),
          address: ipv4Address("10.9.0.5"),
          prefixLength: 24,
        },
      ],
      ...change,
      vm: {
        machine: "q35",
        accel: "tcg",
        vcpus: 1,
        vcpusMax: 1,
        memoryBytesMax: mebibytes(128),
        sshKeys: [],
        start: "cold",
        base: image,
        software: software.map((name) => ({ ...image, name, role: "software" })),
        ...rest,
      },
    },
    identity: {
      instance: "i-1",
      machineId: "0".repeat(32),
      sshHostKey: { publicKey: "ssh-ed25519 AAAA", openSsh: "private\n", dropbear: "AAAA" },
    },
    networks: new Map([
      [
        front,
        {
          mtu: 1380,
          ...(naming
            ? {
                naming: {
                  address: ipv4Address("10.9.0.1"),
                  mac: macAddress("02:00:00:00:00:01"),
                  prefixLength: 24,
                  domain: "shop.consort",
                },
              }
            : {}),
        },
      ],
    ]),
    hostKeys: [],
    entropy: "00".repeat(64),
  };
}

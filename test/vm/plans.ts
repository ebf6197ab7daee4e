import { applianceId, applianceName, ensembleName, ipv4Address, macAddress, networkId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Image } from "#model/image.ts";
import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";

const shop = ensembleName("shop");
export const front = networkId(shop, "front");

export type TestPlan = AppliancePlan & { readonly vm: VmPlan };

/** A machine "db" with one interface. */
export function vmPlan(
  base: Image,
  change: Partial<AppliancePlan> = {},
  vm: Pick<VmPlan, "hostname"> &
    Partial<Pick<VmPlan, "software">> & { homeBytes?: Bytes; swapBytes?: Bytes } = { hostname: "db" },
): TestPlan {
  return {
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
      sshKeys: [],
      start: "cold",
      memoryBytesMax: mebibytes(128),
      base,
      software: [],
      ...vm,
    },
  };
}

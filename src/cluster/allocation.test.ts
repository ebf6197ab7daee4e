import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { allocate } from "#cluster/allocation.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { addressNumber, networksOverlap, parseNetwork } from "#base/ipv4.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Ensemble } from "#model/ensemble.ts";

const recordOf = (
  ensemble: Ensemble,
  others: readonly EnsembleRecord[],
  before?: EnsembleRecord,
): EnsembleRecord => ({
  ensemble,
  state: "present",
  placements: {},
  paths: [],
  leaving: {},
  unleased: {},
  ...allocate(ensemble, before, others),
  operation: "",
  revision: 1,
});

describe("allocate()", () => {
  it("gives every interface of every ensemble its own MAC address, and its own address in its network", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }), (sizes) => {
        const records: EnsembleRecord[] = [];
        for (const [index, replicas] of sizes.entries()) {
          const ensemble = sampleEnsemble(`e${index}`, {
            appliances: [
              sampleAppliance("node", { replicas }),
              sampleAppliance("hub", { networks: ["lan", "wan"] }),
            ],
            networks: [{ name: "lan" }, { name: "wan" }],
          });
          records.push(recordOf(ensemble, records));
        }
        const interfaces = records.flatMap((record) => Object.values(record.interfaces).flat());
        assert.equal(new Set(interfaces.map((one) => one.mac)).size, interfaces.length);
        assert.equal(new Set(interfaces.map((one) => one.address)).size, interfaces.length);
        const subnets = records.flatMap((record) =>
          Object.values(record.networks).map((one) => parseNetwork(one.subnet)),
        );
        for (const [index, subnet] of subnets.entries()) {
          assert.ok(!subnets.slice(index + 1).some((other) => networksOverlap(subnet, other)));
        }
      }),
      { numRuns: 30 },
    );
  });

  it("gives a network that joins an ensemble nothing that the ensemble's other networks have or had", () => {
    const on = (...networks: string[]): Ensemble =>
      sampleEnsemble("shop", {
        appliances: [sampleAppliance("a", { networks })],
        networks: networks.map((name) => ({ name })),
      });
    const before = recordOf(on("lan", "old"), []);
    const after = allocate(on("new", "lan"), before, []);
    const all = [after.networks["new"], before.networks["lan"], before.networks["old"]];
    assert.equal(new Set(all.map((network) => network?.vni)).size, 3);
    assert.equal(new Set(all.map((network) => network?.subnet)).size, 3);
    assert.deepEqual(after.networks["lan"], before.networks["lan"]);
  });

  it("keeps what an appliance has when others come and go", () => {
    const three = sampleEnsemble("shop", {
      appliances: ["a", "b", "c"].map((name) => sampleAppliance(name)),
    });
    const before = recordOf(three, []);
    const changed = sampleEnsemble("shop", { appliances: ["c", "d"].map((name) => sampleAppliance(name)) });
    const after = allocate(changed, before, []);
    const id = (name: string) => applianceId(ensembleName("shop"), applianceName(name));
    assert.deepEqual(after.interfaces[id("c")], before.interfaces[id("c")]);
    assert.notEqual(after.interfaces[id("d")]?.[0]?.mac, after.interfaces[id("c")]?.[0]?.mac);
  });

  it("uses the subnet the user asked for, and keeps .1 free", () => {
    const ensemble = sampleEnsemble("shop", {
      appliances: [sampleAppliance("a")],
      networks: [{ name: "lan", subnet: "10.1.2.0/24" }],
    });
    const [only] = Object.values(allocate(ensemble, undefined, []).interfaces).flat();
    assert.equal(only?.address, "10.1.2.2");
  });

  it("refuses an appliance that no address is left for", () => {
    const ensemble = sampleEnsemble("shop", {
      appliances: [sampleAppliance("a", { replicas: 10 })],
      networks: [{ name: "lan", subnet: "10.1.2.0/29" }],
    });
    assert.throws(() => allocate(ensemble, undefined, []), {
      code: "limit_exceeded",
      message: /10\.1\.2\.0\/29 is full/,
    });
  });

  it("reads addresses as numbers and back", () => {
    assert.equal(addressNumber("10.64.0.2"), 0x0a400002);
  });

  it("gives a new network no identifier that the ensemble itself gives up in the same change", () => {
    const on = (network: string) =>
      sampleEnsemble("shop", {
        networks: [{ name: network }],
        appliances: [sampleAppliance("web", { networks: [network] })],
      });
    const before = allocate(on("first"), undefined, []);
    const after = allocate(on("second"), before, []);
    assert.notEqual(after.networks["second"]?.vni, before.networks["first"]?.vni);
    assert.notEqual(after.networks["second"]?.subnet, before.networks["first"]?.subnet);
  });
});

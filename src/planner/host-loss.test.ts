import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { applianceId, hostId, siteName } from "#base/ids.ts";
import { megabitsPerSecond, mebibytes, micros, milliCpu } from "#base/units.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Topology } from "#model/topology.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import { fatalLoss } from "#planner/host-loss.ts";

const alpha = siteName("alpha");

/** Hosts a, b, … of so many CPUs on one switch, and appliances of one ensemble: CPUs and host of each. */
function cloud(cpus: readonly number[], members: readonly (readonly [number, string])[]): PlacedCloud {
  const name = (index: number): string => "abcdefg"[index]!;
  const topology: Topology = {
    sites: [{ name: alpha, tunnel: "wireguard" }],
    hosts: cpus.map((cpu, index) => ({
      id: hostId(name(index)),
      site: alpha,
      cpuMilli: milliCpu(cpu * 1000),
      memoryBytes: mebibytes(1024),
      labels: {},
    })),
    devices: [{ id: "switch", kind: "switch", site: alpha }],
    links: cpus.map((_, index) => ({
      a: name(index),
      b: "switch",
      bandwidthBps: megabitsPerSecond(1000),
      latencyUs: micros(5),
    })),
  };
  const ensemble = sampleEnsemble("shop", {
    appliances: members.map(([cpu], index) => {
      const share = milliCpu(cpu * 1000);
      return sampleAppliance(`m${index}`, { cpu: { kind: "share", shareMilli: share, limitMilli: share } });
    }),
  });
  const placements = new Map(
    members.map(([, host], index) => [applianceId(ensemble.name, `m${index}` as never), hostId(host)]),
  );
  return { topology, placed: [{ ensemble, placements, paths: [] }] };
}

describe("fatalLoss()", () => {
  test("finds nothing where the others have room, and names the host where they have not", () => {
    assert.equal(
      fatalLoss(
        cloud(
          [2, 2],
          [
            [1, "a"],
            [1, "b"],
          ],
        ),
        { seed: 1 },
      ),
      undefined,
    );
    const found = fatalLoss(
      cloud(
        [2, 2],
        [
          [1, "a"],
          [2, "b"],
        ],
      ),
      { seed: 1 },
    );
    assert.deepEqual([found?.host, found?.violations.map(({ kind }) => kind)], ["a", ["host-cpu"]]);
  });

  test("moves nobody on other hosts out of the way, of the same ensemble neither", () => {
    // The large one of `a` would fit on `c` if the one there went to `b`.
    assert.equal(
      fatalLoss(
        cloud(
          [3, 2, 3],
          [
            [3, "a"],
            [2, "c"],
          ],
        ),
        { seed: 1 },
      )?.host,
      "a",
    );
  });

  test("looks at those first that it is told to", () => {
    const full = cloud(
      [2, 2],
      [
        [2, "a"],
        [2, "b"],
      ],
    );
    assert.equal(fatalLoss(full, { seed: 1 })?.host, "a");
    assert.equal(fatalLoss(full, { seed: 1 }, [hostId("b")])?.host, "b");
  });

  test("ends when told to, having found nothing", () => {
    assert.equal(
      fatalLoss(
        cloud(
          [2, 2],
          [
            [2, "a"],
            [2, "b"],
          ],
        ),
        { seed: 1, shouldStop: () => true },
      ),
      undefined,
    );
  });
});

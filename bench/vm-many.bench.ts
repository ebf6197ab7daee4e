import { mebibytes } from "#base/units.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { Rig } from "../test/rig/rig.ts";
import { registerTiny } from "../test/vm/tiny-image.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { manyByLibvirt } from "./peer-many.ts";
import { reaching, shareMiB } from "./many-reached.ts";
import { ensembleOf, withManagedLab } from "./managed-lab.ts";

/**
 * Twenty tiny guests, five on each of four hosts, asked for at once where one guest of each host runs already, so that
 * each host has a snapshot to resume the others from. They are there when the SSH server of each of them has answered a
 * neighbour that found it by its name.
 */
const machines = 20;
const aims = { answersMs: 8000, memoryMiB: 60 };
const limitMs = 280_000;
const cases = ["consort", "libvirt"];
/** Six of them fit on each host. */
const hostMemoryBytes = mebibytes(2048);
const plain = defaultLabTopology(1, 4);
const topology: Topology = {
  ...plain,
  hosts: plain.hosts.map((host) => ({ ...host, memoryBytes: hostMemoryBytes })),
};

export const benchmark: Benchmark = {
  name: "vm-many",
  about:
    "Twenty tiny guests at once on four hosts, from snapshots: when all of them are reached, and memory of each while idle; beside it twenty booted by libvirt",
  cases,
  async run({ signal, progress, cases: asked }) {
    const rows: BenchRow[] = [];
    if (asked?.has("consort") !== false) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
      const ours = await withManagedLab("benchvmmany", topology, limit, async (rig) => {
        await registerTiny(rig, limit);
        return measure(rig, { signal: limit, progress });
      });
      rows.push(...ours);
    }
    if (asked?.has("libvirt") === false) return rows;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    return [...rows, ...(await manyByLibvirt(machines, { signal: limit, progress }))];
  },
};

async function measure(rig: Rig, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const hosts = topology.hosts.map(({ id }) => id);
  await rig.up(many(hosts, 0), signal);
  progress("each host has a snapshot");
  const beganAt = performance.now();
  await rig.up(many(hosts, machines), signal);
  const runMs = performance.now() - beganAt;
  progress(`all run after ${Math.round(runMs)} ms`);
  const names = Array.from({ length: machines }, (_, index) => nameOf(index));
  await rig.exec("many", "peer", ["perl", "-e", reaching, ...names], signal);
  const reachedMs = performance.now() - beganAt;
  progress(`all are reached after ${Math.round(reachedMs)} ms`);
  const memory = names.map(shareMiB);
  const row = (metric: string, unit: string, values: readonly number[], aim: number): BenchRow => {
    const figures = range(values);
    const what = `${machines} tiny guests, resumed, on 4 hosts`;
    return {
      case: what,
      metric,
      unit,
      reference: "-",
      aim: `<= ${aim}`,
      ...figures,
      ok: figures.value <= aim,
    };
  };
  return [
    row("asked for → reported as running", "ms", [runMs], aims.answersMs),
    row("asked for → each one's SSH server has answered", "ms", [reachedMs], aims.answersMs),
    row("memory of each, proportional set size", "MiB", memory, aims.memoryMiB),
  ];
}

const nameOf = (index: number): string => `bench-many-${index}`;

function many(hosts: readonly string[], count: number): Ensemble {
  const machine = (name: string, host: string | undefined): string =>
    `  ${name}: { kind: vm, image: tiny, memory: 128MiB, hosts: [${host}], vm: { start: warm } }`;
  return ensembleOf(
    [
      "ensemble: many",
      "appliances:",
      `  peer: { command: sleep infinity, hosts: [${hosts[0]}] }`,
      ...hosts.map((host, index) => machine(`seed-${index}`, host)),
      ...Array.from({ length: count }, (_, index) => machine(nameOf(index), hosts[index % hosts.length])),
      "",
    ].join("\n"),
  );
}

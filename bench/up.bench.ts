import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { Rig } from "../test/rig/rig.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { ensembleOf, withManagedLab } from "./managed-lab.ts";
import { measureTaskStart } from "./task-on-host.ts";

/**
 * Twenty task appliances in a ring, five on each of four hosts, every link between two hosts. Each serves a word to
 * its predecessor and writes down when it got its successor's: only when the last of them has is the ensemble up.
 */
const applianceCount = 20;
const rounds = 7;
const aimMs = 2000;
const clock = systemClock();

export const benchmark: Benchmark = {
  name: "up",
  about: "`up` of 20 linked task appliances on 4 hosts; one task appliance from plan to first instruction",
  run: async (options) => [
    ...(await measureUp("one site", defaultLabTopology(1, 4), options)),
    ...(await measureUp("two sites, WireGuard between them", defaultLabTopology(2, 2), options)),
    ...(await measureTaskStart(options)),
  ],
};

async function measureUp(
  name: string,
  topology: Topology,
  { signal, progress }: BenchOptions,
): Promise<BenchRow[]> {
  const ensemble = ring(topology.hosts.map((host) => host.id));
  const reported: number[] = [];
  const exchanged: number[] = [];
  await withManagedLab("benchup", topology, signal, async (rig) => {
    // One more than counted: the first also starts helper processes, on every host.
    for (let round = 0; round <= rounds; round += 1) {
      const asked = clock.now();
      await rig.up(ensemble, signal);
      if (round > 0) reported.push(clock.now() - asked);
      const last = await lastExchangeAt(rig, ensemble, signal);
      if (round > 0) exchanged.push(last - asked);
      await rig.down(ensemble.name, signal);
      await clock.sleep(millis(1000), signal);
    }
  });
  const row = (metric: string, values: readonly number[]): BenchRow => {
    const figures = range(values);
    progress(`${name}, ${metric}: ${figures.value.toFixed(0)} ms`);
    return {
      case: `${applianceCount} task appliances on 4 hosts, ${name}`,
      metric,
      unit: "ms",
      reference: "-",
      aim: `<= ${aimMs}`,
      ...figures,
      ok: figures.value <= aimMs,
    };
  };
  return [
    row("asked for → each has heard from its neighbour", exchanged),
    row("asked for → reported as all running and connected", reported),
  ];
}

/** Wall time at which the last appliance had its neighbour's word, by the appliances' own output. */
async function lastExchangeAt(rig: Rig, ensemble: Ensemble, signal: AbortSignal): Promise<number> {
  const times: number[] = [];
  for (const { name } of ensemble.appliances) {
    for (;;) {
      const log = await rig.client().text(`/v1/ensembles/${ensemble.name}/appliances/${name}/log`, signal);
      const heardNs = /^heard (\d+)$/m.exec(log)?.[1];
      if (heardNs !== undefined) {
        times.push(Number(heardNs) / 1e6);
        break;
      }
      if (log.includes("cannot")) throw new ConsortError("driver_failed", `${name} says: ${log}`);
      await clock.sleep(millis(20), signal);
    }
  }
  return Math.max(...times);
}

/** Hosts alternate along the ring, so that no link stays on one host. */
function ring(hosts: readonly string[]): Ensemble {
  const names = Array.from({ length: applianceCount }, (_, index) => `node-${index}`);
  const next = (index: number): string => names[(index + 1) % applianceCount] ?? "";
  return ensembleOf(`
ensemble: ring
x-program: &program |
  ${exchangeProgram.trim().replaceAll("\n", "\n  ")}
appliances:
${names
  .map(
    (name, index) => `  ${name}:
    command: [perl, /srv/exchange.pl, ${next(index)}]
    memory: 32MiB
    hosts: [${hosts[index % hosts.length]}]
    files: { /srv/exchange.pl: *program }`,
  )
  .join("\n")}
links:
${names.map((name, index) => `  - { between: [${name}, ${next(index)}], bandwidth: 10Mbit/s }`).join("\n")}
`);
}

const exchangeProgram = `
use strict;
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die "cannot listen: $!";
if (!fork) {
  while (my $caller = $server->accept) { print $caller "hello\\n"; close $caller }
  exit;
}
my $word;
until (defined $word) {
  my $neighbour = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 7000, Timeout => 1);
  if ($neighbour) { $word = <$neighbour> } else { select undef, undef, undef, 0.005 }
}
system "date", "+heard %s%N";
wait;
`;

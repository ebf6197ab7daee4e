import { systemClock } from "#drivers/system/clock.ts";
import { millis } from "#base/units.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Checkpoints } from "#protocol/http/checkpoint.ts";
import { losses } from "../test/recovery/losses.ts";
import { eventually } from "../test/rig/rig.ts";
import type { Rig } from "../test/rig/rig.ts";
import { registerTiny } from "../test/vm/tiny-image.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { ensembleOf, withManagedLab } from "./managed-lab.ts";

/**
 * The host of a virtual machine is powered off; a neighbour on another host asks the machine's web server for what it
 * counts in memory, until it answers again. From the loss until that answer, default settings (fencing 3 s), with a
 * checkpoint every second; and how much of what it had counted was lost.
 */
const rounds = 5;
const aimMs = 8000;
/** The guest counts so often. */
const countMs = 50;
const clock = systemClock();
const [powerOff] = losses;

const ensemble = `ensemble: recovery
appliances:
  db:
    kind: vm
    image: tiny
    memory: 128MiB
    hosts: [a1, a2]
    vm: { home: 64MiB, checkpoint: { every: 1s, copies: 2 } }
    command: ["sh", "-c", "mkdir -p /run/www; httpd -p 80 -h /run/www; n=0; while :; do n=$((n+1)); echo $n > /run/www/new; mv /run/www/new /run/www/n; sleep 0.${String(countMs).padStart(3, "0")}; done"]
  peer: { command: sleep infinity, hosts: [b1] }
`;

/** Asks every 20 ms; prints what it counts and this machine's monotonic clock in ns as soon as there is an answer. */
const asking = `
use IO::Socket::INET; use Time::HiRes qw(sleep clock_gettime CLOCK_MONOTONIC);
while (1) {
  my $s = IO::Socket::INET->new(PeerAddr => "db:80", Timeout => 1);
  if ($s) { print $s "GET /n HTTP/1.0\\r\\n\\r\\n"; local $/; my $a = <$s>;
    if (defined $a && $a =~ /\\n(\\d+)\\s*$/) { printf "%d %d\\n", $1, clock_gettime(CLOCK_MONOTONIC) * 1e9; exit } }
  sleep 0.02;
}`;

export const benchmark: Benchmark = {
  name: "vm-recovery",
  about: "loss of a virtual machine's host: until it answers again, from its checkpoint on another host",
  run: ({ signal, progress }) =>
    withManagedLab("benchvmrec", defaultLabTopology(2, 3), signal, async (rig) => {
      await registerTiny(rig, signal);
      await rig.up(ensembleOf(ensemble), signal);
      return measure(rig, { signal, progress });
    }),
};

async function measure(rig: Rig, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const times: number[] = [];
  const lost: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await eventually("all hosts are there and a checkpoint of this machine is on another one", signal, () =>
      isReady(rig, signal),
    );
    const host = await hostOf(rig, signal);
    const before = await ask(rig, signal);
    const lostAtNs = process.hrtime.bigint();
    await powerOff?.lose(rig, host, signal);
    const after = await ask(rig, signal);
    times.push(Number(after.atNs - lostAtNs) / 1e6);
    lost.push(((before.count - after.count) * countMs) / 1000);
    await powerOff?.giveBack(rig, host, signal);
    progress(`${times.at(-1)?.toFixed(0)} ms, went on at ${after.count} of ${before.count}`);
    await eventually(
      "it runs",
      signal,
      async () => (await rig.status("recovery", signal)).state === "running",
    );
    await clock.sleep(millis(3000), signal);
  }
  const row = { case: "128 MiB guest, checkpoint every second, host powered off", reference: "-" };
  const [took, gone] = [range(times), range(lost)];
  return [
    { ...row, metric: "until it answers", unit: "ms", aim: `<= ${aimMs}`, ...took, ok: took.value <= aimMs },
    { ...row, metric: "work lost", unit: "s", aim: "<= 3", ...gone, ok: gone.value <= 3 },
  ];
}

async function isReady(rig: Rig, signal: AbortSignal): Promise<boolean> {
  const hosts = await rig.hosts(signal);
  if (hosts.some(({ state, fenced }) => state !== "ready" || fenced)) return false;
  const host = await hostOf(rig, signal);
  const path = "/v1/ensembles/recovery/checkpoints";
  const { checkpoints } = await rig.client().request<Checkpoints>("GET", path, signal);
  const [newest] = checkpoints;
  return newest !== undefined && newest.copies[0] === host && newest.copies.length > 2;
}

async function hostOf(rig: Rig, signal: AbortSignal): Promise<string> {
  const { appliances } = await rig.status("recovery", signal);
  return appliances.find(({ name }) => name === "db")?.host ?? "";
}

async function ask(rig: Rig, signal: AbortSignal): Promise<{ count: number; atNs: bigint }> {
  const { stdout } = await rig.exec("recovery", "peer", ["perl", "-e", asking], signal);
  const [count = "", atNs = ""] = stdout.trim().split(" ");
  return { count: Number(count), atNs: BigInt(atNs) };
}

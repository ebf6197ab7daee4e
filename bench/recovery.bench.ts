import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Rig } from "../test/rig/rig.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { ensembleOf, withManagedLab } from "./managed-lab.ts";

/**
 * Managers are killed with SIGKILL while an ensemble runs, and a change is asked for at once that only they can
 * carry out. From the kill until that change is done and the ensemble reads running through the API. Appliances must
 * have lived through it.
 */
const rounds = 5;
const pollMs = millis(10);
const aimMs = 2000;
const clock = systemClock();

type Victim = {
  readonly name: string;
  readonly managers: readonly string[];
  /** The form the ensemble is given in round `round`; the killed managers have to do something for it. */
  readonly change: (round: number) => Ensemble;
};

const everyHost = ["a1", "a2", "b1", "b2"];
const onEveryHost = (round: number): Ensemble => ensemble({ round, hosts: everyHost });

const victims: readonly Victim[] = [
  {
    name: "host manager",
    managers: ["host-a1"],
    change: (round) => ensemble({ round, hosts: ["a1"] }),
  },
  {
    name: "host manager of a gateway; the change needs a tunnel, or to be rid of it",
    managers: ["host-gw-alpha"],
    change: (round) => ensemble({ round, hosts: round % 2 === 0 ? ["a1", "b1"] : ["a1"] }),
  },
  { name: "cluster manager", managers: ["cluster"], change: onEveryHost },
  {
    name: "all of them at once",
    managers: ["cluster", "host-gw-alpha", "host-gw-beta", ...everyHost.map((host) => `host-${host}`)],
    change: onEveryHost,
  },
];

export const benchmark: Benchmark = {
  name: "recovery",
  about:
    "kill -9 of managers: until a change asked for meanwhile is done and all runs, on 2 sites with 2 hosts",
  run: ({ signal, progress }) =>
    withManagedLab("benchrec", defaultLabTopology(2, 2), signal, async (rig) => {
      const rows: BenchRow[] = [];
      for (const victim of victims) rows.push(await measure(rig, victim, { signal, progress }));
      return rows;
    }),
};

async function measure(rig: Rig, victim: Victim, { signal, progress }: BenchOptions): Promise<BenchRow> {
  const values: number[] = [];
  await rig.up(ensemble({ round: rounds, hosts: ["a1"] }), signal);
  for (let round = 0; round < rounds; round += 1) {
    const before = await steadyRuns(rig, signal);
    const began = clock.monotonic();
    for (const manager of victim.managers) kill(rig, manager);
    await changed(rig, victim.change(round), signal);
    values.push(clock.monotonic() - began);
    const after = await steadyRuns(rig, signal);
    if (after !== before) throw new Error(`Appliances were restarted: ${before} before, ${after} after`);
    // A quick second death in a row would be held against it.
    await clock.sleep(millis(1500), signal);
  }
  const figures = range(values);
  progress(`${victim.name}: ${figures.value.toFixed(0)} ms`);
  return {
    case: victim.name,
    metric: "from kill -9 to converged",
    unit: "ms",
    reference: "-",
    aim: `<= ${aimMs}`,
    ...figures,
    ok: figures.value <= aimMs,
  };
}

function kill(rig: Rig, manager: string): void {
  const pid = rig.managerPid(manager);
  if (pid === undefined) throw new Error(`Cannot kill ${manager}: it does not run`);
  process.kill(pid, "SIGKILL");
}

/** Asks until somebody answers, then until it is done. */
async function changed(rig: Rig, wanted: Ensemble, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await rig.up(wanted, signal);
      if ((await rig.status(wanted.name, signal)).state === "running") return;
    } catch (cause) {
      signal.throwIfAborted();
      if (codeOf(cause) !== "unavailable") throw cause;
    }
    await clock.sleep(pollMs, signal);
  }
}

/** When the appliances that no change concerns were started. */
async function steadyRuns(rig: Rig, signal: AbortSignal): Promise<string> {
  const { appliances } = await rig.status("recovery", signal);
  return appliances
    .filter((one) => one.name.startsWith("steady"))
    .map((one) => `${one.name} ${one.startedAtMs} ${one.restarts}`)
    .sort()
    .join(", ");
}

/** Two steady appliances in one site, and one of this round on each of `hosts`. */
function ensemble({ round, hosts }: { round: number; hosts: readonly string[] }): Ensemble {
  const ofThisRound = hosts.map(
    (host) => `  change-${host}: { command: sleep infinity, env: { ROUND: "${round}" }, hosts: [${host}] }`,
  );
  return ensembleOf(`
ensemble: recovery
appliances:
  steady-one: { command: sleep infinity, hosts: [a1] }
  steady-two: { command: sleep infinity, hosts: [a2] }
${ofThisRound.join("\n")}
links:
  - between: [steady-one, steady-two]
    bandwidth: 10Mbit/s
`);
}

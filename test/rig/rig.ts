import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bringUp, takeDown } from "#cli/change.ts";
import { clientOf } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { captureIn } from "#cli/remote-exec.ts";
import { removeAbandonedTables } from "#drivers/scheduling/table/file.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import { labDown, labUp } from "#lab/lab.ts";
import type { LabUpOptions } from "#lab/lab.ts";
import { labPaths } from "#lab/names.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { EnsembleStatus, HostStatus } from "#protocol/http/status.ts";

/**
 * A private lab with its managers, for tests and benchmarks that need the real thing. Everything of it is gone
 * after `close`; its name says whose it is.
 */
export type Rig = {
  readonly lab: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** The Unix socket the managers talk over. */
  readonly busPath: string;
  apiUrl(): string;
  /** Asks for the address each time: it changes when the cluster manager is restarted. */
  client(): Client;
  up(ensemble: Ensemble, signal: AbortSignal): Promise<void>;
  down(name: string, signal: AbortSignal): Promise<void>;
  exec(
    ensemble: string,
    appliance: string,
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  status(name: string, signal: AbortSignal): Promise<EnsembleStatus>;
  hosts(signal: AbortSignal): Promise<HostStatus[]>;
  /** `lab up` once more: what there is is adopted, what is missing is made. */
  repair(signal: AbortSignal): Promise<void>;
  /** Process id of "cluster" or "host-<node>" now, if it runs. */
  managerPid(name: string): number | undefined;
  close(): Promise<void>;
};

const pollMs = 50;

export async function startRig(
  name: string,
  topology: Topology,
  signal: AbortSignal,
  options: Pick<LabUpOptions, "policy"> = {},
): Promise<Rig> {
  const clock = systemClock();
  const machine = {
    clock,
    random: systemRandom(),
    log: silentLog,
    subprocess: systemSubprocess(),
    cgroups: systemCgroups(clock),
    removeAbandonedTables,
  };
  const root = mkdtempSync(join(tmpdir(), `consort-${name}-`));
  const place = { name, stateRoot: join(root, "state"), runRoot: join(root, "run") };
  const runDir = join(place.runRoot, "labs", name);
  const api = (): { url: string; tokenFile: string } =>
    JSON.parse(readFileSync(join(runDir, "api.json"), "utf8")) as { url: string; tokenFile: string };
  const client = (): Client => {
    const { url, tokenFile } = api();
    return clientOf({ url, token: readFileSync(tokenFile, "utf8").trim() });
  };
  const rig: Rig = {
    lab: name,
    runDir,
    stateDir: join(place.stateRoot, "labs", name),
    busPath: labPaths(place).bus,
    apiUrl: () => api().url,
    client,
    up: async (ensemble, stop) => void (await bringUp(client(), clock, ensemble, stop)),
    down: async (ensemble, stop) => void (await takeDown(client(), clock, ensemble, stop)),
    exec: (ensemble, appliance, command, stop) => captureIn(client(), { ensemble, appliance, command }, stop),
    status: (ensemble, stop) => client().request("GET", `/v1/ensembles/${ensemble}`, stop),
    hosts: (stop) => client().request("GET", "/v1/hosts", stop),
    repair: async (stop) => void (await labUp({ ...place, ...options, machine, topology }, stop)),
    managerPid: (manager) => pidOfManager(name, manager, place.runRoot),
    async close() {
      await labDown({ ...place, machine }, new AbortController().signal);
      rmSync(root, { recursive: true, force: true });
    },
  };
  try {
    await labUp({ ...place, ...options, machine, topology }, signal);
    await eventually("all hosts ready", signal, async () => {
      const hosts = await rig.hosts(signal);
      return (
        hosts.filter((host) => host.state === "ready").length >= topology.hosts.length + gateways(topology)
      );
    });
    return rig;
  } catch (error) {
    await rig.close();
    throw error;
  }
}

const gateways = (topology: Topology): number =>
  topology.devices.filter((device) => device.kind === "gateway").length;

/** Polls until it holds; what throws counts as "not yet". Only the signal ends it otherwise. */
export async function eventually(
  what: string,
  signal: AbortSignal,
  holds: () => Promise<boolean> | boolean,
): Promise<void> {
  const clock = systemClock();
  let last: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (cause) {
      last = cause;
    }
    if (signal.aborted) throw new Error(`gave up waiting for: ${what}`, { cause: last });
    await clock.sleep(pollMs as never, new AbortController().signal);
  }
}

export function readEnsembleFile(path: string): Ensemble {
  const parsed = parseEnsemble(readFileSync(path, "utf8"), { file: path });
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(formatProblem).join("\n"));
}

function pidOfManager(lab: string, manager: string, runRoot: string): number | undefined {
  const config = `${manager}.json`;
  const lines = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).split("\n");
  const line = lines.find(
    (one) =>
      one.includes("src/main/") &&
      one.includes(`/labs/${lab}/`) &&
      one.trimEnd().endsWith(config) &&
      one.includes(runRoot.slice(0, -4)),
  );
  return line === undefined ? undefined : Number(line.trim().split(" ")[0]);
}

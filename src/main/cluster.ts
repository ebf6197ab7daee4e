import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startGanglia } from "#api/ganglia-server.ts";
import type { GangliaServer } from "#api/ganglia-server.ts";
import { ownVersion, startApi } from "#api/server.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { openLocalBus } from "#drivers/messaging/local-server.ts";
import { secretFiles } from "#drivers/secret/secret-files.ts";
import { openEmbeddedStore } from "#drivers/store/embedded.ts";
import { mapperWorker } from "#drivers/system/mapper-worker.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { ClusterConfig } from "#lab/config.ts";
import { runManager } from "#main/process.ts";
import type { Manager } from "#main/process.ts";
import { clusterAddress } from "#protocol/topics.ts";

const ownerOnly = 0o700;

if (import.meta.main) await runManager<ClusterConfig>("cluster", manageCluster);

async function manageCluster(manager: Manager<ClusterConfig>): Promise<void> {
  const { config, clock, log, signal } = manager;
  const random = systemRandom();
  mkdirSync(config.stateDir, { recursive: true, mode: ownerOnly });
  const store = openEmbeddedStore({ path: join(config.stateDir, "store.db"), clock, random, log });
  const messaging = await openLocalBus({ path: config.bus, address: clusterAddress, clock, log });
  const mapper = mapperWorker({ seed: config.seed ?? random.integer(2 ** 31) });
  const cluster = new ClusterManager({
    clock,
    random,
    log,
    store,
    messaging,
    solve: (problem, stop) => mapper.solve(problem, stop),
    consolidate: (problem, stop) => mapper.consolidate(problem, stop),
    topology: config.topology,
    secrets: secretFiles(join(config.stateDir, "secrets")),
    ...(config.policy === undefined ? {} : { policy: config.policy }),
  });
  try {
    await cluster.start(signal);
    const { apiAddress: address, apiPort, tokenFile } = config;
    const announced = join(config.runDir, "api.json");
    const listen = (port: number) =>
      startApi({ service: cluster, address, port, tokenFile, log, clock, random });
    // Clients that know the address of the manager before this one should find this one there.
    const before = announcedPorts(announced);
    const api = await listenAgain(listen, apiPort, before.api);
    const ganglia = await gangliaServer(cluster, manager, before.ganglia);
    announce(announced, {
      url: api.url,
      tokenFile,
      ...(ganglia === undefined ? {} : { ganglia: ganglia.address }),
    });
    try {
      await cluster.run(signal);
    } finally {
      await Promise.allSettled([api.close(), ganglia?.close()]);
    }
  } finally {
    await Promise.allSettled([messaging.close(), store.close()]);
  }
}

/** On any free port it is the one of the manager before this, where it is to be had. */
function listenAgain<Server>(
  listen: (port: number) => Promise<Server>,
  port: number,
  before: number | undefined,
): Promise<Server> {
  return port === 0 && before !== undefined ? listen(before).catch(() => listen(port)) : listen(port);
}

async function gangliaServer(
  service: ClusterManager,
  { config, clock, log }: Manager<ClusterConfig>,
  before: number | undefined,
): Promise<GangliaServer | undefined> {
  const { gangliaPort, lab: cluster, apiAddress: address } = config;
  if (gangliaPort === undefined) return undefined;
  const version = await ownVersion();
  const listen = (port: number) => startGanglia({ service, cluster, version, address, port, clock, log });
  try {
    return await listenAgain(listen, gangliaPort, before);
  } catch (cause) {
    // Who only reads measurements keeps nobody else from their work.
    log.warn("Ganglia's tools cannot read here", { cause });
    return undefined;
  }
}

/** Those of the manager before this one. */
function announcedPorts(path: string): { api?: number; ganglia?: number } {
  try {
    const { url, ganglia } = JSON.parse(readFileSync(path, "utf8")) as { url: string; ganglia?: string };
    const api = Number(new URL(url).port);
    const gangliaPort = Number(ganglia?.slice(ganglia.lastIndexOf(":") + 1));
    return {
      ...(api > 0 ? { api } : {}),
      ...(gangliaPort > 0 ? { ganglia: gangliaPort } : {}),
    };
  } catch {
    return {};
  }
}

/** Where the command line finds the API; replaced whole, so that a reader never sees half of it. */
function announce(path: string, where: { url: string; tokenFile: string; ganglia?: string }): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(where)}\n`);
  renameSync(`${path}.new`, path);
}

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startApi } from "#api/server.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { openLocalBus } from "#drivers/messaging/local-server.ts";
import { openEmbeddedStore } from "#drivers/store/embedded.ts";
import { mapperWorker } from "#drivers/system/mapper-worker.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { ClusterConfig } from "#lab/config.ts";
import { runManager } from "#main/process.ts";
import type { Manager } from "#main/process.ts";
import { clusterAddress } from "#protocol/topics.ts";

const ownerOnly = 0o700;

if (import.meta.main) await runManager<ClusterConfig>("cluster", manageCluster);

async function manageCluster({ config, clock, log, signal }: Manager<ClusterConfig>): Promise<void> {
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
    ...(config.policy === undefined ? {} : { policy: config.policy }),
  });
  try {
    await cluster.start(signal);
    const { apiAddress: address, apiPort, tokenFile } = config;
    const announced = join(config.runDir, "api.json");
    const listen = (port: number) =>
      startApi({ service: cluster, address, port, tokenFile, log, clock, random });
    // Clients that know the address of the manager before this one should find this one there.
    const before = apiPort === 0 ? announcedPort(announced) : undefined;
    const api = await (before === undefined ? listen(apiPort) : listen(before).catch(() => listen(apiPort)));
    announce(announced, { url: api.url, tokenFile });
    try {
      await cluster.run(signal);
    } finally {
      await api.close();
    }
  } finally {
    await Promise.allSettled([messaging.close(), store.close()]);
  }
}

function announcedPort(path: string): number | undefined {
  try {
    const { url } = JSON.parse(readFileSync(path, "utf8")) as { url: string };
    return Number(new URL(url).port) || undefined;
  } catch {
    return undefined;
  }
}

/** Where the command line finds the API; replaced whole, so that a reader never sees half of it. */
function announce(path: string, where: { url: string; tokenFile: string }): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(where)}\n`);
  renameSync(`${path}.new`, path);
}

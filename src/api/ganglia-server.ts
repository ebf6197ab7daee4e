import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { DiskRates } from "#api/disk-rates.ts";
import { gangliaXml } from "#api/ganglia-xml.ts";
import { isLoopback } from "#api/host-header.ts";
import type { ClusterService } from "#cluster/service.ts";

/** What one reader got is given to the next for so long: readers cannot overload the manager. */
const ageMs = millis(1000);
const readersMax = 64;
/** One that has not read by then what it asked for is let go. */
const readMsMax = millis(10_000);

export type GangliaServer = { readonly address: string; close(): Promise<void> };

/**
 * Speaks as a gmond does: whoever connects is sent the whole as XML, and the connection ends. There are no tokens in
 * that protocol, so it listens on this machine only.
 * @throws `forbidden` beyond loopback, `driver_failed` when it cannot listen
 */
export async function startGanglia(options: {
  readonly service: Pick<ClusterService, "hosts" | "ensembles">;
  readonly cluster: string;
  readonly version: string;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<GangliaServer> {
  const { service, cluster, version, address, port, clock, log } = options;
  if (!isLoopback(address)) {
    throw new ConsortError(
      "forbidden",
      `Cannot serve Ganglia on ${address}: it asks nobody who they are, an address of this machine alone was wanted`,
    );
  }
  const closing = new AbortController();
  const startedAtMs = clock.now();
  const rates = new DiskRates();
  let kept: { readonly at: number; readonly text: Promise<string> } | undefined;
  const make = async (): Promise<string> => {
    const [hosts, ensembles] = await Promise.all([
      service.hosts(closing.signal),
      service.ensembles(closing.signal),
    ]);
    const guestDisks = rates.look(ensembles, clock.monotonic());
    return gangliaXml({ cluster, version, atMs: clock.now(), startedAtMs, hosts, ensembles, guestDisks });
  };
  const text = (): Promise<string> => {
    const at = clock.monotonic();
    if (kept === undefined || at - kept.at >= ageMs) kept = { at, text: make() };
    return kept.text;
  };
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    const callOff = clock.timer(readMsMax, () => socket.destroy());
    socket.once("close", callOff);
    socket.resume();
    text().then(
      (xml) => socket.end(xml),
      (cause: unknown) => {
        // The next reader has it tried again.
        kept = undefined;
        if (!closing.signal.aborted) log.warn("Cannot tell Ganglia", { cause });
        socket.destroy();
      },
    );
  });
  server.maxConnections = readersMax;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new ConsortError("driver_failed", `Cannot listen on ${address}:${port}: ${messageOf(cause)}`, {
          cause,
        }),
      ),
    );
    server.listen(port, address, resolve);
  });
  return {
    address: `${address}:${(server.address() as AddressInfo).port}`,
    close: async () => {
      closing.abort();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    },
  };
}

import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { application } from "#api/application.ts";
import { isLoopback } from "#api/host-header.ts";
import { openApiDocument } from "#api/openapi.ts";
import { readToken } from "#api/token.ts";
import type { ClusterService } from "#cluster/service.ts";

export type ApiOptions = {
  readonly service: ClusterService;
  /** "127.0.0.1"; anything but loopback needs `allowRemote`. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Holds the one token; made when missing, for its owner's eyes only. */
  readonly tokenFile: string;
  readonly allowRemote?: boolean;
  /** Names of this machine, besides its addresses and localhost, that callers may use. */
  readonly hostNames?: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
};

export type Api = { readonly url: string; close(): Promise<void> };

/**
 * Serves the HTTP API. `close` ends streams too.
 * @throws `forbidden` beyond loopback without being told, or when others may read the token; `driver_failed` when
 * it cannot listen.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { service, address, port, clock, log } = options;
  if (!isLoopback(address)) {
    if (options.allowRemote !== true) {
      throw new ConsortError(
        "forbidden",
        `Cannot listen on ${address}: it can be reached from other machines, which must be allowed explicitly`,
      );
    }
    log.warn("The API can be reached from other machines, unencrypted: put TLS before it", { address });
  }
  const closing = new AbortController();
  const app = application({
    service,
    clock,
    log,
    version: await ownVersion(),
    document: openApiDocument,
    token: await readToken(options.tokenFile, options.random),
    hostNames: options.hostNames ?? [],
    closing: closing.signal,
  });
  try {
    await app.listen({ host: address, port });
  } catch (cause) {
    await app.close();
    throw new ConsortError("driver_failed", `Cannot listen on ${address}:${port}: ${messageOf(cause)}`, {
      cause,
    });
  }
  const url = urlOf(app.server.address() as AddressInfo);
  log.info("API ready", { url });
  return {
    url,
    close: async () => {
      closing.abort();
      await app.close();
    },
  };
}

const urlOf = ({ address, port, family }: AddressInfo): string =>
  family === "IPv6" ? `http://[${address}]:${port}` : `http://${address}:${port}`;

export async function ownVersion(): Promise<string> {
  const manifest = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  return version;
}

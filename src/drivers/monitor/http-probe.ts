import { closeSync } from "node:fs";
import { Socket, isIPv4 } from "node:net";
import { ConsortError, messageOf } from "#base/errors.ts";
import { bytesMaxFor } from "#control/monitor/readings.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { readerOf } from "#control/monitor/series.ts";
import { connectFrom } from "#drivers/monitor/namespace-sockets.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";
import { request } from "#drivers/system/http.ts";
import type { NamedSeries } from "#model/ensemble.ts";

const httpPort = 80;

/** A page asked for from inside the appliance's network: it reaches what the appliance reaches, and nothing else. */
export class HttpProbe implements Probe {
  readonly #url: URL;
  readonly #address: string;
  readonly #netns: string;
  readonly #read: (page: string) => readonly Reading[];
  readonly #bytesMax: number;

  /** Throws `bad_input` for what is no URL of http, or of a name that means nothing there. */
  constructor(url: string, metrics: NamedSeries | undefined, target: MonitorTarget) {
    const parsed = URL.parse(url);
    if (parsed?.protocol !== "http:")
      throw new ConsortError("bad_input", `Cannot ask ${url}: http://HOST[:PORT]/PATH was wanted`);
    const host = parsed.hostname;
    const address = host === "localhost" ? "127.0.0.1" : isIPv4(host) ? host : target.names.get(host);
    if (address === undefined)
      throw new ConsortError(
        "bad_input",
        `Cannot ask ${url}: ${host} means nothing inside ${target.appliance}, an IPv4 address, localhost or a name of its ensemble was wanted`,
      );
    this.#url = parsed;
    this.#address = address;
    this.#netns = target.netns;
    this.#read = readerOf(metrics);
    this.#bytesMax = bytesMaxFor(metrics);
  }

  async read(signal: AbortSignal): Promise<readonly Reading[]> {
    signal.throwIfAborted();
    const socket = this.#connect();
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const stop = (): void => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const headers = { host: this.#url.host, "user-agent": "consort" };
    const asked = request(this.#url, { createConnection: () => socket, headers }, (answer) => {
      const { statusCode = 0 } = answer;
      if (statusCode < 200 || statusCode > 299) return reject(this.#failure(`it answers ${statusCode}`));
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= this.#bytesMax) chunks.push(chunk);
        else reject(this.#failure(`it answers more than ${this.#bytesMax} bytes`));
      });
      answer.once("end", () => resolve(Buffer.concat(chunks).toString()));
      answer.once("error", reject);
    });
    asked.once("error", (cause) => reject(this.#failure(messageOf(cause), cause)));
    asked.end();
    try {
      return this.#read(await promise);
    } finally {
      signal.removeEventListener("abort", stop);
      asked.destroy();
      socket.destroy();
    }
  }

  close(): void {
    // Every reading has a connection of its own.
  }

  #connect(): Socket {
    const fd = connectFrom(this.#netns, this.#address, Number(this.#url.port) || httpPort);
    try {
      return new Socket({ fd, readable: true, writable: true });
    } catch (cause) {
      closeSync(fd);
      throw cause;
    }
  }

  #failure(what: string, cause?: unknown): ConsortError {
    return new ConsortError("driver_failed", `Cannot ask ${this.#url.href}: ${what}`, { cause });
  }
}

import { ipv4Address } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { bytes } from "#base/units.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { openBlobExchange } from "#drivers/blob/exchange.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { Digest } from "#model/image.ts";

/** A host that takes content in, to be killed while it does. Tells how far it is, one line each. */
const [directory = "", mode, ...rest] = process.argv.slice(2);
const signal = new AbortController().signal;
const store = new DiskBlobStore({ directory, log: silentLog, reserveBytes: 0 });
await store.recover(signal);

if (mode === "put") {
  const random = seededRandom(Number(rest[0]));
  const chunks = Number(rest[1]);
  const content = async function* (): AsyncGenerator<Uint8Array> {
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      yield Buffer.from(random.hex(32 * 1024), "hex");
      process.stdout.write(`${chunk}\n`);
    }
  };
  await store.put(content(), {}, signal);
} else {
  const [port, digest, size] = rest;
  const address = ipv4Address("127.0.0.1");
  const exchange = await openBlobExchange({ store, address, log: silentLog });
  exchange.useToken("secret");
  const blob = { digest: digest as Digest, sizeBytes: bytes(Number(size)) };
  const progress = ({ doneBytes }: { doneBytes: number }): void => {
    process.stdout.write(`${doneBytes}\n`);
  };
  await exchange.fetch(blob, [{ address, port: Number(port) }], progress, signal);
  await exchange.close();
}

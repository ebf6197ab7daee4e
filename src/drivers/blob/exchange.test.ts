import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { codeOf } from "#base/errors.ts";
import { ipv4Address } from "#base/ids.ts";
import { silentLog } from "#drivers/system/log.ts";
import { blobExchangeConformance, inChunks, refTo } from "./conformance.ts";
import { DiskBlobStore } from "./disk-store.ts";
import { openBlobExchange } from "./exchange.ts";
import { blobLimits } from "./limits.ts";
import type { BlobExchange, BlobPeer } from "./port.ts";
import { framesOf } from "./run-frames.ts";

const signal = new AbortController().signal;
const address = ipv4Address("127.0.0.1");

type Host = { store: DiskBlobStore; exchange: BlobExchange; directory: string };

async function openHost(token?: string): Promise<Host> {
  const directory = await mkdtemp(join(tmpdir(), "consort-exchange-"));
  const store = new DiskBlobStore({ directory, log: silentLog, reserveBytes: 0 });
  await store.recover(signal);
  const exchange = await openBlobExchange({ store, address, log: silentLog });
  if (token !== undefined) exchange.useToken(token);
  return { store, exchange, directory };
}

async function closeHost({ exchange, directory }: Host): Promise<void> {
  await exchange.close();
  await rm(directory, { recursive: true, force: true });
}

async function openHosts(t: TestContext, count: number): Promise<Host[]> {
  const hosts = await Promise.all(Array.from({ length: count }, () => openHost("secret")));
  t.after(() => Promise.all(hosts.map(closeHost)));
  return hosts;
}

const peerOf = ({ exchange }: Host): BlobPeer => ({ address, port: exchange.port });

blobExchangeConformance("over HTTP", async (count) => {
  const hosts = await Promise.all(Array.from({ length: count }, () => openHost()));
  return { hosts, close: async () => void (await Promise.all(hosts.map(closeHost))) };
});

/** Three pieces and a half: data, holes, data. */
function severalPieces(): Buffer {
  const content = Buffer.alloc(3.5 * blobLimits.blobPieceBytes);
  for (let at = 0; at < content.length; at += 4099) content[at] = at % 251;
  content.fill(0, blobLimits.blobPieceBytes, 2 * blobLimits.blobPieceBytes);
  return content;
}

/** A host that answers with what `respond` writes. */
async function oddHost(
  t: TestContext,
  respond: (begin: number, end: number) => { bytes: Uint8Array; hangUp?: true },
): Promise<{ peer: BlobPeer; asked: () => number }> {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    const [, begin, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    const { bytes, hangUp } = respond(Number(begin), Number(end) + 1);
    response.writeHead(206);
    response.write(bytes, () => (hangUp ? response.destroy() : response.end()));
  }).listen(0, address);
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { peer: { address, port: (server.address() as AddressInfo).port }, asked: () => asked };
}

test("a fetch from several peers takes pieces from each of them", async (t) => {
  const hosts = await openHosts(t, 3);
  const content = severalPieces();
  const served = async (): Promise<{ peer: BlobPeer; asked: () => number }> =>
    oddHost(t, (begin, end) => ({
      bytes: Buffer.concat([...framesOf(content.subarray(begin, end), begin)]),
    }));
  const [first, second] = [await served(), await served()];
  const [a] = hosts;
  assert.ok(a !== undefined);
  await a.exchange.fetch(refTo(content), [first.peer, second.peer], () => {}, signal);
  assert.ok(first.asked() >= 1 && second.asked() >= 1);
  assert.equal(first.asked() + second.asked(), 4);
});

test("a fetch goes on with the pieces it has, and with other peers, when one hangs up half way", async (t) => {
  const [a, b] = await openHosts(t, 2);
  assert.ok(a !== undefined && b !== undefined);
  const content = severalPieces();
  const blob = refTo(content);
  const cutting = await oddHost(t, (begin, end) => {
    const whole = Buffer.concat([...framesOf(content.subarray(begin, end), begin)]);
    return begin === 0 ? { bytes: whole } : { bytes: whole.subarray(0, 3), hangUp: true };
  });
  await assert.rejects(
    a.exchange.fetch(blob, [cutting.peer], () => {}, signal),
    (error) => codeOf(error) === "unavailable",
  );
  await b.store.put(inChunks(content, 65_536), {}, signal);
  const told: number[] = [];
  const from = [cutting.peer, peerOf(b)];
  const brought = await a.exchange.fetch(blob, from, ({ doneBytes }) => told.push(doneBytes), signal);
  assert.ok(
    brought <= blob.sizeBytes - blobLimits.blobPieceBytes,
    `${brought} were brought, a piece was there`,
  );
  assert.equal(told[0], blobLimits.blobPieceBytes);
  assert.equal(told.at(-1), blob.sizeBytes);
  assert.deepEqual(await readdir(a.store.pieces), []);
});

test("a peer that serves something else harms nothing, and the right content is fetched from another", async (t) => {
  const [a, b] = await openHosts(t, 2);
  assert.ok(a !== undefined && b !== undefined);
  const content = severalPieces();
  const blob = await b.store.put(inChunks(content, 65_536), {}, signal);
  const liar = await oddHost(t, (begin, end) => ({
    bytes: Buffer.concat([...framesOf(Buffer.alloc(end - begin, 9), begin)]),
  }));
  await assert.rejects(
    a.exchange.fetch(blob, [liar.peer], () => {}, signal),
    (error) => codeOf(error) === "unavailable",
  );
  assert.deepEqual(a.store.list(), []);
  await a.exchange.fetch(blob, [liar.peer, peerOf(b)], () => {}, signal);
  assert.deepEqual(a.store.list(), [blob]);
});

test("a peer that sends more than was asked for is left", async (t) => {
  const [a] = await openHosts(t, 1);
  assert.ok(a !== undefined);
  const talker = await oddHost(t, (begin) => ({
    bytes: Buffer.concat([...framesOf(Buffer.alloc(2 * blobLimits.blobPieceBytes, 1), begin)]),
  }));
  await assert.rejects(
    a.exchange.fetch(refTo(severalPieces()), [talker.peer], () => {}, signal),
    /more came than was asked for/,
  );
});

test("a fetch that is called off keeps its pieces, and nobody else's wait ends with it", async (t) => {
  const [a, b] = await openHosts(t, 2);
  assert.ok(a !== undefined && b !== undefined);
  const content = severalPieces();
  const blob = await b.store.put(inChunks(content, 65_536), {}, signal);
  const stop = new AbortController();
  const first = a.exchange.fetch(
    blob,
    [peerOf(b)],
    ({ doneBytes }) => {
      if (doneBytes > 1.5 * blobLimits.blobPieceBytes) stop.abort(new Error("called off"));
    },
    stop.signal,
  );
  const second = a.exchange.fetch(blob, [peerOf(b)], () => {}, signal);
  await assert.rejects(first, /called off/);
  await second;
  assert.deepEqual(a.store.list(), [blob]);
});

test("parts of what nobody wants any more are removed once they are old", async (t) => {
  const [a] = await openHosts(t, 1);
  assert.ok(a !== undefined);
  const content = severalPieces();
  const cutting = await oddHost(t, () => ({ bytes: new Uint8Array([0]), hangUp: true }));
  await assert.rejects(a.exchange.fetch(refTo(content), [cutting.peer], () => {}, signal));
  const later = Date.now() + 2 * 3_600_000;
  await a.exchange.forgetOthers(new Set(), Date.now());
  await a.exchange.forgetOthers(new Set([refTo(content).digest]), later);
  assert.equal((await readdir(a.store.pieces)).length, 2);
  await a.exchange.forgetOthers(new Set(), later);
  assert.deepEqual(await readdir(a.store.pieces), []);
});

/** Takes connections, and says nothing more than this, ever. */
async function mute(t: TestContext, words = ""): Promise<{ peer: BlobPeer; asked: () => number }> {
  let asked = 0;
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    asked += 1;
    open.add(socket);
    socket.on("error", () => {});
    socket.write(words);
  }).listen(0, address);
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { peer: { address, port: (server.address() as AddressInfo).port }, asked: () => asked };
}

for (const [what, words] of [
  ["takes the connection and never answers", ""],
  [
    "falls silent in the middle of its answer",
    "HTTP/1.1 206 Partial Content\r\ncontent-length: 99999\r\n\r\n",
  ],
] as const) {
  test(`what a host that ${what} was asked for comes from another one`, { timeout: 60_000 }, async (t) => {
    const [from, to] = await openHosts(t, 2);
    const lost = await mute(t, words);
    const content = severalPieces();
    const blob = refTo(content);
    await from!.store.put(inChunks(content), blob, signal);
    const peers = [lost.peer, peerOf(from!)];
    await to!.exchange.fetch(blob, peers, () => {}, signal);
    assert.ok(to!.store.has(blob.digest));
    assert.equal(lost.asked(), 1, "it is asked once, and no more");
  });
}

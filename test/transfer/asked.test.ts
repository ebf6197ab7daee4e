import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";

const signal = AbortSignal.timeout(60_000);

test("what a server refuses is told with the server that was asked, and none of the keys in its address", async () => {
  const server = createServer((_asked, response) => void response.writeHead(404).end()).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const secret = { accessKey: "KEY", secretKey: "hidden", endpoint: `http://127.0.0.1:${port}` };
  const transfer = openTransfer({ clock: systemClock(), roots: [] });
  try {
    await assert.rejects(transfer.list({ url: "s3://backups/shop", secret }, signal), {
      code: "not_found",
      message: `Cannot transfer: (22) The requested URL returned error: 404; 127.0.0.1:${port} was asked`,
    });
  } finally {
    server.close();
  }
});

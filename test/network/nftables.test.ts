import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { Nftables } from "#drivers/network/kernel/nftables.ts";

test("closed twice, the packet filter is let go of once, and no longer changed", async () => {
  const nft = new Nftables();
  await nft.transact("list tables");
  nft.close();
  nft.close();
  await assert.rejects(nft.transact("list tables"), (error) => codeOf(error) === "conflict");
});

import assert from "node:assert/strict";
import { it } from "node:test";
import { isLoopback, isTrustedHost } from "#api/host-header.ts";

it("isTrustedHost() takes addresses, localhost and this machine's names, with any port", () => {
  for (const host of ["127.0.0.1", "10.0.0.9:7070", "[::1]:7070", "[::1]", "LOCALHOST", "Me.example:1"]) {
    assert.ok(isTrustedHost(host, ["me.example"]), host);
  }
  for (const host of [undefined, "", ":80", "evil.example", "127.0.0.1.evil.example", "me.example.evil"]) {
    assert.ok(!isTrustedHost(host, ["me.example"]), host);
  }
});

it("isLoopback() knows what cannot be reached from other machines", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
    assert.ok(isLoopback(address), address);
  for (const address of ["0.0.0.0", "::", "10.0.0.1", "127.example", ""])
    assert.ok(!isLoopback(address), address);
});

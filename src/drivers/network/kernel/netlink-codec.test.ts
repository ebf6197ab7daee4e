import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  attribute,
  attributesOf,
  decode,
  encode,
  ipv4Bytes,
  ipv4Text,
  macBytes,
  macText,
  nested,
  text,
  textOf,
  u32,
} from "./netlink-codec.ts";

test("messages are read back as they were written, also several in one datagram", () => {
  const body = Buffer.concat([text(3, "cstb51"), nested(18, [u32(1, 7), attribute(2, Buffer.from([1]))])]);
  const request = { what: "try", type: 16, flags: 0x400, body };
  const [first, second, ...others] = decode(Buffer.concat([encode(request, 1), encode(request, 2)]));
  assert.ok(first !== undefined && second !== undefined && others.length === 0);
  assert.deepEqual([first.type, first.flags, first.sequence, second.sequence], [16, 0x401, 1, 2]);
  const attributes = attributesOf(first.body, 0);
  assert.equal(textOf(attributes.get(3)), "cstb51");
  const inner = attributes.get(18);
  assert.ok(inner);
  assert.equal(attributesOf(inner, 0).get(1)?.readUInt32LE(0), 7);
});

test("whatever bytes arrive, reading them ends and throws nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const message of decode(Buffer.from(bytes))) attributesOf(message.body, 0);
      attributesOf(Buffer.from(bytes), 0);
    }),
  );
});

test("addresses survive the way to bytes and back", () => {
  const octets = (count: number) =>
    fc.array(fc.integer({ min: 0, max: 255 }), { minLength: count, maxLength: count });
  fc.assert(
    fc.property(octets(4), octets(6), (ip, mac) => {
      const address = ip.join(".");
      const hardware = mac.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
      assert.equal(ipv4Text(ipv4Bytes(address)), address);
      assert.equal(macText(macBytes(hardware)), hardware);
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { parseAddress } from "./address.ts";
import { s3Address } from "./s3-sign.ts";

const keys = {
  accessKey: "AKIAIOSFODNN7EXAMPLE",
  secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const atMs = Date.UTC(2013, 4, 24);

test("s3Address() signs the example of Amazon's documentation as it does", () => {
  const at = parseAddress({ url: "s3://examplebucket/test.txt", secret: keys });
  assert.equal(
    s3Address(at, { method: "GET", key: "test.txt", atMs }),
    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
      "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
      "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
      "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  );
});

test("with an endpoint of its own the bucket is the path's first part, and names are escaped", () => {
  const at = parseAddress({ url: "s3://images/x", secret: { endpoint: "http://127.0.0.1:9000" } });
  assert.equal(
    s3Address(at, { method: "GET", key: "a b/(c)+d", atMs }),
    "http://127.0.0.1:9000/images/a%20b/%28c%29%2Bd",
  );
});

test("another method, key, region or secret gives another signature", () => {
  const sign = (secret: Record<string, string>, method: "GET" | "PUT", key: string): string =>
    s3Address(parseAddress({ url: "s3://images/x", secret }), { method, key, atMs }).split("Signature=")[1] ??
    "";
  const signatures = [
    sign(keys, "GET", "a"),
    sign(keys, "PUT", "a"),
    sign(keys, "GET", "b"),
    sign({ ...keys, region: "eu-west-1" }, "GET", "a"),
    sign({ ...keys, secretKey: "other" }, "GET", "a"),
  ];
  assert.equal(new Set(signatures).size, signatures.length);
});

test("headers that are sent with a request are signed with it", () => {
  const at = parseAddress({ url: "s3://images/x", secret: keys });
  const sign = (headers: Record<string, string>): string =>
    s3Address(at, { method: "PUT", key: "a", atMs, headers });
  const one = sign({ "x-amz-copy-source": "/images/b" });
  assert.equal(new URL(one).searchParams.get("X-Amz-SignedHeaders"), "host;x-amz-copy-source");
  assert.notEqual(one, sign({ "x-amz-copy-source": "/images/c" }));
  assert.match(sign({ "content-md5": "x" }), /SignedHeaders=content-md5%3Bhost/);
});

test("an endpoint that is no web address is refused", () => {
  const at = parseAddress({ url: "s3://images/x", secret: { endpoint: "file:///etc" } });
  assert.throws(
    () => s3Address(at, { method: "GET", key: "a", atMs }),
    (error) => codeOf(error) === "bad_input",
  );
});

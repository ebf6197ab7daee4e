import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "#base/errors.ts";
import { hidden, parseAddress, schemes } from "./address.ts";

test("parseAddress() takes an address of every scheme apart", () => {
  assert.deepEqual(parseAddress({ url: "sftp://me@store:2222/images/a%20b.raw" }), {
    scheme: "sftp",
    authority: "store:2222",
    user: "me",
    path: "/images/a b.raw",
    query: "",
    secret: {},
  });
  assert.equal(parseAddress({ url: "https://host/x?version=1" }).query, "?version=1");
  assert.equal(parseAddress({ url: "file:///srv/images/a.raw" }).path, "/srv/images/a.raw");
  assert.equal(parseAddress({ url: "s3://bucket/key/of.raw" }).authority, "bucket");
});

test("what means something else to a server or a program is refused", () => {
  for (const url of [
    "gopher://host/x",
    "/etc/passwd",
    "file://relative",
    "http://user:password@host/x",
    "ftp://host/a/../../etc/passwd",
    "ftp://host/a/%2e%2e/etc/passwd",
    "ftp://host/a%0d%0aDELE%20x",
    "http://host/\nurl = file:///etc/passwd",
    "http://host/a b",
    "sftp://host/a?x",
    "http://host/a#b",
    "http://host/%",
    "http:///",
    `http://host/${"a".repeat(3000)}`,
  ]) {
    assert.throws(
      () => parseAddress({ url }),
      (error) => codeOf(error) === "bad_input",
      url,
    );
  }
});

test("whatever is given, an address that is accepted has an absolute path without dots and line ends", () => {
  const parts = fc.array(
    fc.oneof(
      fc.constantFrom("..", ".", "/", "%2e", "%2F", "%5c", "\\", "%00", "?", "#", "@", ":", "a"),
      fc.string(),
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...schemes), parts, (scheme, rest) => {
      try {
        const { path } = parseAddress({ url: `${scheme}://host/${rest.join("")}` });
        assert.ok(path.startsWith("/"));
        assert.ok(!path.split("/").includes(".."));
        assert.doesNotMatch(path, /[\r\n\0]/);
      } catch (error) {
        assert.equal(codeOf(error), "bad_input");
      }
    }),
  );
});

test("a password never shows in a message", () => {
  assert.equal(hidden("ftp://me:secret@host/x"), "ftp://me:***@host/x");
});

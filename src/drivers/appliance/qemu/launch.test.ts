import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { launchText } from "./launch.ts";

test("launchText() hands over arguments as they are, whatever is in them", () => {
  const odd = ["plain", "two words", "it's", "$(id)", '{"a":"b"}', "line\nbreak", "`x`", ""];
  const text = launchText(odd).replace("exec qemu-system-x86_64", `exec printf '%s\\0'`);
  const said = execFileSync("/bin/sh", ["-c", text], { encoding: "utf8" });
  assert.deepEqual(said.split("\0").slice(0, -1), odd);
});

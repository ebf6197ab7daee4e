import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { consort } from "#cli/cli.fixture.ts";

const run = promisify(execFile);

/** What bash offers for the words typed so far; the last one is under the cursor. Hosts are those of a stand-in. */
async function offered(...words: string[]): Promise<string[]> {
  const { out } = await consort(["completion", "bash"]);
  const script = `
    ${out}
    consort() { [ "$*" = "hosts --quiet" ] && printf 'a1\\na2\\ngw-alpha\\n'; }
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _consort
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run("bash", ["-c", script, "bash", ...words]);
  return stdout.trim().split("\n");
}

test("bash completes commands, the verbs of host, and the hosts there are", async () => {
  assert.deepEqual(await offered("consort", "hos"), ["hosts", "host"]);
  assert.deepEqual(await offered("consort", "host", "dr"), ["drain"]);
  assert.deepEqual(await offered("consort", "host", "drain", ""), ["a1", "a2", "gw-alpha"]);
  assert.deepEqual(await offered("consort", "host", "drain", "g"), ["gw-alpha"]);
  assert.deepEqual(await offered("consort", "host", "drain", "--no"), ["--no-wait"]);
  assert.deepEqual(await offered("consort", "lab", "d"), ["down"]);
});

test("zsh and fish ask for the hosts when they are wanted, not when the script is made", async () => {
  for (const shell of ["zsh", "fish"]) {
    const { exit, out } = await consort(["completion", shell]);
    assert.equal(exit, 0);
    const line = out.split("\n").find((one) => one.includes("consort hosts --quiet"));
    assert.match(line ?? "", shell === "zsh" ? /^ {4}host\) _arguments .*'2:host:\{/ : /-f -a '\(consort /);
  }
});

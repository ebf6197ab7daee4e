import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { consort } from "#cli/cli.fixture.ts";

const run = promisify(execFile);

/** What bash offers for the words typed so far; the last one is under the cursor. Hosts and ensembles are those of a stand-in. */
async function offered(...words: string[]): Promise<string[]> {
  const { out } = await consort(["completion", "bash"]);
  const script = `
    ${out}
    consort() { case "$*" in
      "hosts --quiet") printf 'a1\\na2\\ngw-alpha\\n' ;;
      "hosts --quiet --role host") printf 'a1\\na2\\n' ;;
      "ps --quiet") printf 'mail\\nshop\\n' ;;
    esac; }
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _consort
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run("bash", ["-c", script, "bash", ...words]);
  return stdout.trim().split("\n");
}

test("bash completes commands, the verbs of host, and the hosts each may be about", async () => {
  assert.deepEqual(await offered("consort", "hos"), ["hosts", "host"]);
  assert.deepEqual(await offered("consort", "host", "dr"), ["drain"]);
  assert.deepEqual(await offered("consort", "host", "drain", ""), ["a1", "a2"]);
  assert.deepEqual(await offered("consort", "host", "forget", "g"), ["gw-alpha"]);
  assert.deepEqual(await offered("consort", "host", "drain", "--no"), ["--no-wait"]);
  assert.deepEqual(await offered("consort", "host", "drain", "a1", ""), [""]);
});

test("bash completes what follows lab, and ensembles where one is wanted", async () => {
  assert.deepEqual(await offered("consort", "lab", "p"), ["power", "pause"]);
  assert.deepEqual(await offered("consort", "lab", "power", ""), ["off", "on"]);
  assert.deepEqual(await offered("consort", "lab", "power", "off", "a"), ["a1", "a2"]);
  assert.deepEqual(await offered("consort", "lab", "power", "off", "a1", ""), [""]);
  assert.deepEqual(await offered("consort", "lab", "resume", ""), ["a1", "a2", "gw-alpha"]);
  for (const command of ["ps", "down", "explain"])
    assert.deepEqual(await offered("consort", command, ""), ["mail", "shop"], command);
});

test("bash counts no option, nor its value, among the words before the cursor", async () => {
  assert.deepEqual(await offered("consort", "host", "--lab", "red", "drain", "a"), ["a1", "a2"]);
  assert.deepEqual(await offered("consort", "host", "--lab", "=", "red", "drain", "--json", "a"), [
    "a1",
    "a2",
  ]);
  assert.deepEqual(await offered("consort", "lab", "--lab", "red", "power", "off", "g"), ["gw-alpha"]);
});

test("bash completes the values of an option, and leaves files to the shell", async () => {
  assert.deepEqual(await offered("consort", "capacity", "--survive", ""), ["any-host", "none"]);
  assert.deepEqual(await offered("consort", "capacity", "--survive", "=", "n"), ["none"]);
  assert.deepEqual(await offered("consort", "capacity", "--survive", "="), ["any-host", "none"]);
  assert.deepEqual(await offered("consort", "capacity", "--snapshot", ""), [""]);
  assert.deepEqual(await offered("consort", "snapshot", "-o", ""), [""]);
  assert.deepEqual(await offered("consort", "up", ""), [""]);
});

test("zsh and fish ask for the hosts when they are wanted, not when the script is made", async () => {
  const { out: zsh } = await consort(["completion", "zsh"]);
  const host = zsh.split("\n").find((line) => line.startsWith("    host)")) ?? "";
  assert.match(
    host,
    /'2:argument:\{case .* in drain\) compadd -- \$\{\(f\)"\$\(consort hosts --quiet --role host /,
  );
  assert.match(zsh, /'--survive\[[^\]]*\]:value:\(any-host none\)'/);
  const { out: fish } = await consort(["completion", "fish"]);
  assert.match(
    fish,
    /-n '__fish_seen_subcommand_from lab; and __fish_seen_subcommand_from power; and __fish_seen_subcommand_from off on' -f -a '\(consort hosts /,
  );
  assert.match(fish, /-l survive -x -a 'any-host none' /);
});

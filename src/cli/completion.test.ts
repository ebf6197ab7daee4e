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
      "--lab red hosts --quiet") printf 'r1\\nr2\\ngw-red\\n' ;;
      "--lab=red hosts --quiet --role host") printf 'r1\\nr2\\n' ;;
      "--api http://[::1]:8080 --token-file /a ps --quiet") printf 'far\\n' ;;
      "hosts --quiet") printf 'a1\\na2\\ngw-alpha\\n' ;;
      "hosts --quiet --role host") printf 'a1\\na2\\n' ;;
      "ps --quiet --appliances") printf 'mail\\nmail/mx\\nshop\\nshop/db\\n' ;;
      "image ls --quiet") printf 'tiny\\n' ;;
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
  for (const command of ["ps", "down", "export"])
    assert.deepEqual(await offered("consort", command, ""), ["mail", "shop"], command);
  for (const command of ["explain", "logs", "exec", "suspend"])
    assert.deepEqual(await offered("consort", command, "shop"), ["shop", "shop/db"], command);
  assert.deepEqual(await offered("consort", "checkpoint", ""), ["ls", "mail", "mail/mx", "shop", "shop/db"]);
  assert.deepEqual(await offered("consort", "checkpoint", "ls", ""), ["mail", "shop"]);
  assert.deepEqual(await offered("consort", "image", "rm", ""), ["tiny"]);
  assert.deepEqual(await offered("consort", "exec", "shop/db", "--", "shop"), [""]);
});

test("bash counts no option, nor its value, among the words before the cursor", async () => {
  assert.deepEqual(await offered("consort", "capacity", "--most", "3", "--json", ""), [""]);
  assert.deepEqual(await offered("consort", "host", "--json", "drain", "--detach", "a"), ["a1", "a2"]);
  assert.deepEqual(await offered("consort", "image", "--sha256", "=", "12", "rm", "t"), ["tiny"]);
});

test("bash asks the manager that the line names, wherever it does, also before the command", async () => {
  assert.deepEqual(await offered("consort", "lab", "--lab", "red", "power", "off", ""), [
    "r1",
    "r2",
    "gw-red",
  ]);
  assert.deepEqual(await offered("consort", "lab", "power", "off", "--lab", "red", "g"), ["gw-red"]);
  assert.deepEqual(await offered("consort", "host", "--lab", "=", "red", "drain", "--json", ""), [
    "r1",
    "r2",
  ]);
  assert.deepEqual(await offered("consort", "--lab", "=", "red", "host", "drain", ""), ["r1", "r2"]);
  assert.deepEqual(await offered("consort", "--json", "--lab", "red", "host", "forget", "g"), ["gw-red"]);
  const address = ["--api", "http", ":", "//[", "::", "1]", ":", "8080"];
  assert.deepEqual(await offered("consort", ...address, "ps", "--token-file", "/a", ""), ["far"]);
  assert.deepEqual(await offered("consort", "--lab", "red", "hos"), ["hosts", "host"]);
  assert.deepEqual(await offered("consort", "--lab", "hos"), [""]);
  assert.deepEqual(await offered("consort", "--lab", "=", "hos"), [""]);
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
    /'2:argument:\{case .* in drain\) compadd -- \$\{\(f\)"\$\(consort "\$\{where\[@\]\}" hosts --quiet --role host /,
  );
  assert.match(zsh, /'--survive\[[^\]]*\]:value:\(any-host none\)'/);
  const { out: fish } = await consort(["completion", "fish"]);
  assert.match(
    fish,
    /-n '__fish_seen_subcommand_from lab; and __fish_seen_subcommand_from power; and __fish_seen_subcommand_from off on' -f -a '\(consort \(__consort_where\) hosts /,
  );
  assert.match(fish, /-l survive -x -a 'any-host none' /);
});

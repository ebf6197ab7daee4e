import assert from "node:assert/strict";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { jobStart } from "#drivers/job/port.ts";
import type { JobPlace } from "#drivers/job/port.ts";
import { ShellJobs } from "#drivers/job/shell-jobs.ts";
import { forgetShells, runOverSsh } from "#drivers/ssh/run-over-ssh.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import { sshHost } from "./ssh-host.ts";

const { signal } = new AbortController();
const clock = systemClock();
const id = "shop/db" as ApplianceId;
const directory = (): string => mkdtempSync(join(tmpdir(), "consort-ssh-"));

test("a program over SSH gets its words, variables and input as they are, and its exit code comes back", async () => {
  const own = directory();
  await using host = await sshHost(own);
  const ssh = { directory: join(own, "lines") };
  const written = { stdout: "", stderr: "" };
  const request = {
    command: [
      "sh",
      "-c",
      `printf '%s|' "$@"; cat; echo "$WORD" >&2; exit 7`,
      "sh",
      "it's",
      "",
      "a  b",
      "$HOME;`id`",
    ],
    env: { WORD: "x 'y' $z" },
    stdin: Buffer.from("the input"),
    onOutput: (stream: "stdout" | "stderr", chunk: Uint8Array) => {
      written[stream] += Buffer.from(chunk).toString();
    },
  };
  assert.equal(await runOverSsh(ssh, id, host.place, request, signal), 7);
  assert.deepEqual(written, { stdout: "it's||a  b|$HOME;`id`|the input", stderr: "x 'y' $z\n" });
});

test("a guest that is another one than expected, or does not answer, is told to be waited for", async () => {
  const own = directory();
  await using host = await sshHost(own);
  const ssh = { directory: join(own, "lines") };
  const request = { command: ["true"], env: {}, onOutput: () => {} };
  const other = { ...host.place, hostKey: host.otherKey };
  await assert.rejects(runOverSsh(ssh, id, other, request, signal), { code: "conflict" });
  await host.stop();
  await assert.rejects(runOverSsh(ssh, id, host.place, request, signal), {
    code: "conflict",
    message: /Cannot reach shop\/db over SSH: .*refused/,
  });
});

test("of a machine that is gone no connection is kept, nor keys; those of others are", async () => {
  const own = directory();
  await using host = await sshHost(own);
  const ssh = { directory: join(own, "lines") };
  const request = { command: ["true"], env: {}, onOutput: () => {} };
  const other = "shop/web" as ApplianceId;
  for (const one of [id, other]) await runOverSsh(ssh, one, host.place, request, signal);
  const before = readdirSync(ssh.directory);
  assert.equal(before.filter((name) => name.endsWith(".line")).length, 2);
  await forgetShells(ssh, id);
  const after = readdirSync(ssh.directory);
  assert.deepEqual(
    after.map((name) => name.slice(name.lastIndexOf("."))).sort(),
    [".key", ".known", ".line"],
    "of one machine all is left, of the other nothing",
  );
  // Who held the line has ended, or is about to: nobody answers there.
  const place = { ...host.place };
  assert.equal(await runOverSsh(ssh, id, place, request, signal), 0);
  for (const one of [id, other]) await forgetShells(ssh, one);
  assert.deepEqual(readdirSync(ssh.directory), []);
});

test("what was begun over SSH goes on when its connection, and whoever made it, is gone", async () => {
  const own = directory();
  await using host = await sshHost(own);
  const ssh = { directory: join(own, "lines") };
  const jobs = new ShellJobs({
    run: (one, request, stop) => runOverSsh(ssh, one, host.place, request, stop),
    transfer: openTransfer({ clock, roots: [] }),
    secret: async () => ({}),
    directory: join(own, "files"),
  });
  const place: JobPlace = { appliance: id, key: `ssh-${process.pid}.1` };
  await jobs.begin(place, { command: ["sh", "-c", "echo one; sleep 0.5; echo two"], env: {} }, signal);
  // The next call is over a connection of its own.
  const again = { directory: join(own, "others") };
  const later = new ShellJobs({
    run: (one, request, stop) => runOverSsh(again, one, host.place, request, stop),
    transfer: openTransfer({ clock, roots: [] }),
    secret: async () => ({}),
    directory: join(own, "files"),
  });
  let output = "";
  let cursor = jobStart;
  for (;;) {
    const look = await later.look(place, cursor, signal);
    output += Buffer.from(look.stdout).toString();
    cursor = look.cursor;
    if (look.standing.state === "ended" && look.stdout.length === 0) break;
    await clock.sleep(millis(50), signal);
  }
  assert.equal(output, "one\ntwo\n");
  await later.clear(place, [], signal);
});

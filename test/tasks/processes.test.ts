import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { processesConformance } from "#drivers/process/conformance.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";

const processes = systemProcesses(machineLayout());

processesConformance("system", () => processes);

test("a program that is not there, or may not be run, is told, and a directory that is not there as well", async () => {
  for (const [command, directory, text] of [
    [["/no/such/program"], undefined, /Cannot start \/no\/such\/program: no such program/],
    [["no-such-program"], "/", /no such program/],
    [[""], undefined, /Cannot start "": no such program/],
    [["/etc/passwd"], undefined, /it may not be executed/],
    [["./passwd"], "/etc", /it may not be executed/],
    [["true"], "/no/such/directory", /its directory \/no\/such\/directory is not there/],
  ] as const)
    await assert.rejects(
      processes.start([...command], {
        output: "ignore",
        groupFiles: [],
        ...(directory === undefined ? {} : { directory }),
      }),
      (error: Error) => codeOf(error) === "driver_failed" && text.test(error.message),
    );
});

test("a program is in its groups before it runs, and one that cannot be moved there never runs", async (t) => {
  const place = mkdtempSync(join(tmpdir(), "consort-test-processes-"));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  const [file, trace] = [join(place, "procs"), join(place, "trace")];
  const inherit = { output: "inherit", directory: place } as const;
  const { pid, ended } = await processes.start(["sh", "-c", 'test "$(cat procs)" = $$'], {
    ...inherit,
    groupFiles: [file],
  });
  assert.equal(readFileSync(file, "utf8"), String(pid));
  assert.equal((await ended).code, 0);
  await assert.rejects(
    processes.start(["touch", trace], { ...inherit, groupFiles: [join(place, "no/procs")] }),
    /Cannot move process \d+ to .*no\/procs/,
  );
  // Whoever else might come to run it was started before this one.
  await (
    await processes.start(["true"], { ...inherit, groupFiles: [file] })
  ).ended;
  assert.ok(!existsSync(trace));
});

test("a thread is not taken for a process", () => {
  const self = processes.self();
  const other = processes.threads(self).find((thread) => thread !== self.pid);
  assert.ok(other !== undefined, "this program has threads");
  assert.equal(processes.identify(other), undefined);
  assert.deepEqual(processes.identify(self.pid), self);
});

test("directory and environment are the process's own", async () => {
  const { ended } = await processes.start(["sh", "-c", 'test "$PWD:$COLOUR" = /:blue'], {
    output: "inherit",
    groupFiles: [],
    directory: "/",
    env: { COLOUR: "blue" },
  });
  assert.equal((await ended).code, 0);
});

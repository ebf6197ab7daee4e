import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { jobStart } from "#drivers/job/port.ts";
import type { JobDriver, JobPlace, JobStanding } from "#drivers/job/port.ts";
import { ShellJobs } from "#drivers/job/shell-jobs.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Secret } from "#drivers/transfer/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clearHost, clock, hostOptions, programs, signal } from "../task/host.ts";
import { cleared, ftpServer, s3Server, sftpServer, webHdfsServer, webServer } from "../transfer/servers.ts";

const id = applianceId(ensembleName("shop"), applianceName("worker"));
const plan: AppliancePlan = {
  id,
  kind: "task",
  generation: "g1",
  command: programs.stays(),
  env: {},
  files: [],
  restart: { when: "always", backoffMsMin: millis(10), backoffMsMax: millis(20) },
  stopGraceMs: millis(100),
  interfaces: [],
};

type Bench = {
  readonly directory: string;
  readonly secrets: Map<string, Secret>;
  jobs: JobDriver;
  /** Another manager on the same host. */
  restart(): Promise<void>;
  driver: TaskDriver;
};

async function bench(t: TestContext): Promise<Bench> {
  const options = hostOptions();
  const directory = mkdtempSync(join(tmpdir(), "consort-jobs-"));
  const secrets = new Map<string, Secret>();
  const open = async (): Promise<TaskDriver> => {
    const driver = new TaskDriver(options);
    await driver.recover(signal);
    return driver;
  };
  const driver = await open();
  await driver.create(plan, new Map(), signal);
  await driver.start(id, signal);
  await whenSeen(driver, id, ({ state }) => state === "running");
  const on = (one: TaskDriver): JobDriver =>
    new ShellJobs({
      run: (appliance, request, stop) => one.exec(appliance, request, stop),
      transfer: openTransfer({ clock, roots: [join(directory, "open")] }),
      secret: async (name) => secrets.get(name) ?? assert.fail(name),
      directory: join(directory, "files"),
    });
  mkdirSync(join(directory, "open"));
  const made: Bench = {
    directory,
    secrets,
    driver,
    jobs: on(driver),
    async restart() {
      await made.driver.close();
      made.driver = await open();
      made.jobs = on(made.driver);
    },
  };
  t.after(async () => {
    await clearHost(made.driver, options);
    cleared(directory);
    rmSync(directory, { recursive: true, force: true });
  });
  return made;
}

async function ended(
  { jobs }: Pick<Bench, "jobs">,
  place: JobPlace,
): Promise<{ standing: JobStanding; stdout: string; stderr: string }> {
  let cursor = jobStart;
  const written = { stdout: "", stderr: "" };
  for (;;) {
    const look = await jobs.look(place, cursor, signal);
    written.stdout += Buffer.from(look.stdout).toString("latin1");
    written.stderr += Buffer.from(look.stderr).toString("latin1");
    cursor = look.cursor;
    const { standing } = look;
    if (standing.state !== "running" && look.stdout.length + look.stderr.length === 0)
      return { standing, ...written };
    await clock.sleep(millis(30), signal);
  }
}

const placeOf = (name: string, directory?: string): JobPlace => ({
  appliance: id,
  key: `${name}.1`,
  ...(directory === undefined ? {} : { directory }),
});

test("a job goes on when its host's manager is gone, and its output and exit code are found by the next", async (t) => {
  const host = await bench(t);
  const place = placeOf("long");
  const command = [
    "sh",
    "-c",
    "id -u; echo one; while ! [ -e /tmp/go ]; do sleep 0.02; done; echo two >&2; exit 42",
  ];
  await host.jobs.begin(place, { command, env: {} }, signal);
  await host.restart();
  assert.equal((await host.jobs.look(place, jobStart, signal)).standing.state, "running");
  // Asked again, nothing begins.
  await host.jobs.begin(place, { command, env: {} }, signal);
  await host.driver.exec(id, { command: ["touch", "/tmp/go"], env: {}, onOutput: () => {} }, signal);
  const { standing, stdout, stderr } = await ended(host, place);
  assert.deepEqual(standing, { state: "ended", exitCode: 42 });
  assert.match(stdout, /^(?!0\n)\d+\none\n$/, "it runs as the appliance's own user, once");
  assert.equal(stderr, "two\n");
  await host.jobs.clear(place, [], signal);
});

test("what is told to end, ends, with all it has started; what its appliance took with it is gone", async (t) => {
  const host = await bench(t);
  const place = placeOf("stubborn");
  const command = [
    "sh",
    "-c",
    "trap '' TERM; sleep 1000 & (sleep 1000 & sleep 1000) & while :; do sleep 1; done",
  ];
  await host.jobs.begin(place, { command, env: {} }, signal);
  await host.jobs.end(place, millis(200), signal);
  assert.deepEqual((await ended(host, place)).standing, { state: "gone" });
  let left = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => void (left += Buffer.from(chunk).toString());
  const look = [
    "sh",
    "-c",
    "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done | grep -c '^sleep 1000 '",
  ];
  await host.driver.exec(id, { command: look, env: {}, onOutput }, signal);
  assert.equal(left.trim(), "1", "only the appliance's own is left");

  const other = placeOf("taken");
  await host.jobs.begin(other, { command: ["sleep", "1000"], env: {} }, signal);
  const { restarts } = await whenSeen(host.driver, id, () => true);
  await host.driver.exec(id, { command: ["pkill", "-x", "sleep"], env: {}, onOutput: () => {} }, signal);
  await whenSeen(host.driver, id, (one) => one.restarts > restarts && one.state === "running");
  assert.notEqual((await ended(host, other)).standing.state, "running");
  await assert.rejects(
    host.jobs.look(
      { ...other, appliance: applianceId(ensembleName("no"), applianceName("a")) },
      jobStart,
      signal,
    ),
    {
      code: "not_found",
    },
  );
});

test("endless output keeps to its bounds inside, and is read to its end", async (t) => {
  const host = await bench(t);
  const place = placeOf("endless");
  const command = ["sh", "-c", "head -c 12000000 /dev/zero | tr '\\0' x; echo end"];
  await host.jobs.begin(place, { command, env: {} }, signal);
  let size = 0;
  const measure = async (): Promise<void> => {
    let text = "";
    const onOutput = (stream: string, chunk: Uint8Array): void =>
      void (text += stream === "stdout" ? Buffer.from(chunk).toString() : "");
    await host.driver.exec(
      id,
      { command: ["sh", "-c", "du -sk /var/tmp/consort-jobs-$(id -u) | cut -f1"], env: {}, onOutput },
      signal,
    );
    size = Math.max(size, Number(text));
  };
  await measure();
  const { stdout } = await ended(host, place);
  await measure();
  assert.ok(stdout.endsWith("end\n"));
  assert.ok(size < 12_000, `${size} KiB are kept inside`);
});

const servers = [
  { name: "sftp", open: sftpServer },
  { name: "ftp", open: ftpServer },
  { name: "s3", open: s3Server },
  { name: "webhdfs", open: webHdfsServer },
] as const;

for (const { name, open } of servers) {
  test(`files come from ${name} and go back there, by a secret's name`, async (t) => {
    const host = await bench(t);
    const server = await open(mkdtempSync(join(host.directory, "server-")));
    t.after(() => server.close());
    host.secrets.set("store", server.secret);
    const content = randomBytes(2_500_000);
    const source = join(host.directory, "source");
    writeFileSync(source, content);
    const transfer = openTransfer({ clock, roots: [] });
    const at = (file: string): { url: string; secret: Secret } => ({
      url: server.url + file,
      secret: server.secret,
    });
    await transfer.upload(source, at("in.bin"), () => {}, signal);
    const place = placeOf(name);
    const credentials = "store";
    await host.jobs.stageIn(
      place,
      0,
      { url: `${server.url}in.bin`, path: "a/in.bin", ifThere: "overwrite", credentials },
      signal,
    );
    await host.jobs.begin(
      place,
      { command: ["sh", "-c", "cat a/in.bin a/in.bin >out.bin"], env: {} },
      signal,
    );
    assert.deepEqual((await ended(host, place)).standing, { state: "ended", exitCode: 0 });
    await host.jobs.stageOut(place, 0, { url: `${server.url}out.bin`, path: "out.bin", credentials }, signal);
    const target = join(host.directory, "target");
    await transfer.download(at("out.bin"), target, {}, () => {}, signal);
    assert.deepEqual(readFileSync(target), Buffer.concat([content, content]));
    await host.jobs.clear(place, [], signal);
  });
}

test("files come by http; one that is there is kept, appended to or replaced, once however often it is staged", async (t) => {
  const host = await bench(t);
  const server = await webServer();
  t.after(() => server.close());
  const source = join(host.directory, "source");
  writeFileSync(source, "new\n");
  await openTransfer({ clock, roots: [] }).upload(
    source,
    { url: `${server.url}in`, secret: server.secret },
    () => {},
    signal,
  );
  const place = placeOf("http");
  host.secrets.set("web", server.secret);
  const stage = (index: number, path: string, ifThere: "overwrite" | "append" | "keep"): Promise<void> =>
    host.jobs.stageIn(place, index, { url: `${server.url}in`, path, ifThere, credentials: "web" }, signal);
  await stage(0, "kept", "keep");
  await stage(1, "kept", "keep");
  await stage(2, "grown", "overwrite");
  await stage(3, "grown", "append");
  await stage(3, "grown", "append");
  await host.jobs.begin(place, { command: ["sh", "-c", "cat kept; echo -; cat grown"], env: {} }, signal);
  assert.equal((await ended(host, place)).stdout, "new\n-\nnew\nnew\n");
});

test("no path of a job's leads out of its appliance, and no address out of what its host has opened", async (t) => {
  const host = await bench(t);
  const secret = join(host.directory, "secret");
  writeFileSync(secret, "host's own");
  symlinkSync(host.directory, join(host.directory, "open", "up"));
  const place = placeOf("tricks");
  const stageIn = (url: string): Promise<void> =>
    host.jobs.stageIn(place, 0, { url, path: "in", ifThere: "overwrite" }, signal);
  for (const url of [`file://${secret}`, `file://${host.directory}/open/up/secret`, "file:///etc/shadow"])
    await assert.rejects(stageIn(url), { code: "forbidden" });
  // Inside, a link leads only to what the appliance itself may see.
  const command = ["sh", "-c", `ln -s ${secret} out; ln -s /etc/shadow shadow; ln -s ${host.directory} way`];
  await host.jobs.begin(place, { command, env: {} }, signal);
  await ended(host, place);
  const target = `file://${host.directory}/open/stolen`;
  for (const path of ["out", "shadow"])
    await assert.rejects(host.jobs.stageOut(place, 0, { url: target, path }, signal), {
      code: "driver_failed",
    });
  writeFileSync(join(host.directory, "open", "in"), "content");
  await assert.rejects(
    host.jobs.stageIn(
      place,
      1,
      { url: `file://${host.directory}/open/in`, path: "way/in", ifThere: "overwrite" },
      signal,
    ),
    { code: "driver_failed" },
  );
  assert.equal(existsSync(join(host.directory, "open", "stolen")), false);
  assert.equal(existsSync(join(host.directory, "in")), false);
});

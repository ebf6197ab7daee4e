import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { bytes, mebibytes, millis, milliCpu } from "#base/units.ts";
import { conformanceId, conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import { clock, programs, signal, taskHost } from "./host.ts";
import type { TaskSubject } from "./host.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

const none: ReadonlyMap<string, string> = new Map();

async function running(host: TaskSubject, change: Partial<AppliancePlan> = {}): Promise<AppliancePlan> {
  const plan = conformancePlan({ command: programs.stays(), ...change });
  await host.driver.create(plan, none, signal);
  await host.driver.start(plan.id, signal);
  return plan;
}

/** What a shell script prints inside an appliance, and its exit code. */
async function inside(
  host: TaskSubject,
  script: string,
  id = conformanceId,
): Promise<{ code: number; output: string }> {
  let output = "";
  const onOutput = (_: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  const code = await host.driver.exec(id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return { code, output: output.trim() };
}

test("an appliance runs as a user of its own, without a capability and without a way to gain one", async () => {
  await using host = await taskHost();
  await running(host);
  assert.match((await inside(host, "id -u")).output, /^20\d{4}$/);
  for (const pid of ["2", "self"]) {
    const status = (await inside(host, `cat /proc/${pid}/status`)).output;
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      assert.match(status, new RegExp(`^${set}:\\s0000000000000000$`, "m"), `${set} of process ${pid}`);
    }
    assert.match(status, /^NoNewPrivs:\s1$/m);
    assert.match(status, /^Groups:\s*$/m);
  }
});

test("an appliance sees its own processes only, and cannot signal its supervisor", async () => {
  await using host = await taskHost();
  await running(host);
  // The shell that looks counts itself.
  const seen = (await inside(host, "cat /proc/[0-9]*/comm")).output.split("\n");
  assert.deepEqual(seen.toSorted(), ["consort-supervi", "sh", "sleep"]);
  assert.notEqual((await inside(host, "kill -9 1")).code, 0);
  assert.notEqual((await inside(host, "ls /proc/1/root /proc/1/fd")).code, 0);
  assert.equal(host.driver.observe()[0]?.state, "running");
});

test("an appliance's writes stay in its own layer, and what is not its own it cannot write", async () => {
  await using host = await taskHost();
  await running(host);
  const name = `consort-test-task-${process.pid}`;
  assert.equal((await inside(host, `echo mine > /var/tmp/${name} && cat /var/tmp/${name}`)).output, "mine");
  assert.equal(existsSync(`/var/tmp/${name}`), false);
  for (const path of [
    "/etc/hosts",
    "/etc/passwd",
    "/usr/bin/sh",
    "/proc/sys/kernel/hostname",
    "/sys/kernel/x",
  ]) {
    assert.notEqual((await inside(host, `echo x >> ${path}`)).code, 0, path);
  }
  assert.notEqual((await inside(host, "mount -t tmpfs tmpfs /mnt || unshare -n true")).code, 0);
  assert.notEqual((await inside(host, "mknod /tmp/disk b 254 0")).code, 0);
});

test("an appliance sees nothing of the host's secrets, nor of Consort's", async () => {
  await using host = await taskHost();
  writeFileSync(join(host.options.stateDir, "token"), "secret", { mode: 0o644 });
  await running(host);
  for (const path of ["/root", "/home", "/run", "/tmp", "/var/log", "/mnt", host.options.stateDir]) {
    const listed = await inside(host, `ls -A ${path}`);
    assert.deepEqual(listed, { code: 0, output: "" }, path);
  }
  assert.notEqual((await inside(host, "cat /etc/shadow")).code, 0);
});

test("an appliance has its name, its neighbours' names, its files, and loopback", async () => {
  await using host = await taskHost();
  const plan = await running(host, {
    files: [
      { path: "/srv/deep/down/app.conf", content: "größe = 1\n", mode: 0o640 },
      { path: "/etc/app.conf", content: "", mode: 0o444 },
    ],
    env: { GREETING: "hello there" },
    directory: "/srv/deep",
  });
  assert.equal((await inside(host, "hostname; cat /etc/hostname")).output, "one\none");
  assert.equal(
    (await inside(host, "cat down/app.conf; stat -c '%a %u' down/app.conf")).output,
    `größe = 1\n640 ${(await inside(host, "id -u")).output}`,
  );
  assert.equal(
    (await inside(host, "stat -c '%a %s' /etc/app.conf; echo $GREETING")).output,
    "444 0\nhello there",
  );
  assert.equal((await inside(host, "ping -c 1 -W 1 localhost")).code, 0);
  await host.driver.setNames(plan.id, new Map([["web", "10.77.0.2"]]), signal);
  assert.match((await inside(host, "getent hosts web")).output, /^10\.77\.0\.2\s+web$/);
  await host.driver.setNames(plan.id, new Map([["db", "10.77.0.3"]]), signal);
  assert.notEqual((await inside(host, "getent hosts web")).code, 0);
});

test("an appliance on an image of its own sees that, and not the host's root", async () => {
  await using host = await taskHost();
  // The host's programs and libraries make a root that works, and that has no /usr in it.
  await running(host, { command: ["/bin/sleep", "1000"], image: "dir:///usr" });
  assert.equal((await inside(host, "ls -d /bin /usr 2>/dev/null")).output, "/bin");
  assert.equal((await inside(host, "touch /bin/x")).code, 1);
});

test("an image that is not there, not a directory, or not to be seen, is told by name", async () => {
  await using host = await taskHost();
  const { driver, options } = host;
  const withImage = (name: string, image: string): AppliancePlan =>
    conformancePlan({
      id: applianceId(ensembleName("a"), applianceName(name)),
      command: ["/bin/true"],
      image,
    });
  const file = withImage("file", "dir:///etc/hostname");
  await driver.create(file, none, signal);
  await driver.start(file.id, signal);
  const seen = await whenSeen(driver, file.id, (one) => one.state === "failed");
  assert.match(seen.message ?? "", /Cannot set up its machine: mount .*root/);
  const missing = withImage("missing", "dir:///var/tmp/consort-test-task-none");
  await assert.rejects(driver.create(missing, none, signal), {
    code: "not_found",
    message: /consort-test-task-none/,
  });
  const refused = { "tar.gz": "unsupported", "dir:///root": "forbidden", "dir:///etc/../root": "forbidden" };
  for (const [image, code] of Object.entries({ ...refused, [`dir://${options.stateDir}`]: "forbidden" })) {
    await assert.rejects(driver.create(withImage("refused", image), none, signal), { code }, image);
  }
  assert.equal(driver.observe().length, 1);
});

test("a command that is not there has failed, and is named", async () => {
  await using host = await taskHost();
  await running(host, { command: ["/no/such/program"] });
  const [seen] = host.driver.observe();
  assert.equal(seen?.state, "failed");
  assert.equal(seen.exitCode, 127);
  assert.match(seen.message ?? "", /\/no\/such\/program: No such file or directory/);
});

test("beyond its memory limit a command is killed, has failed, and the limit is named", async () => {
  await using host = await taskHost();
  const plan = await running(host, {
    command: ["perl", "-e", "my $x = 'x' x 200_000_000; sleep 1000"],
    memoryBytes: mebibytes(32),
  });
  const seen = await whenSeen(host.driver, plan.id, (one) => one.state === "failed");
  assert.equal(seen.exitCode, 137);
  assert.equal(seen.message, "Out of memory: its limit is 32MiB");
});

test("a CPU quota holds, and a new one holds at once", async () => {
  await using host = await taskHost();
  const plan = await running(host, {
    command: ["sh", "-c", "while :; do :; done"],
    cpu: { kind: "share", shareMilli: milliCpu(100), limitMilli: milliCpu(200) },
  });
  const share = async (): Promise<number> => {
    const from = { at: clock.monotonic(), used: host.driver.observe()[0]?.cpuUsedMs ?? 0 };
    await clock.sleep(millis(500), signal);
    return ((host.driver.observe()[0]?.cpuUsedMs ?? 0) - from.used) / (clock.monotonic() - from.at);
  };
  // Upper bounds only: on a busy machine it may well get less.
  assert.ok((await share()) < 0.27);
  const cpu = { kind: "share", shareMilli: milliCpu(50), limitMilli: milliCpu(50) } as const;
  await host.driver.adapt(new Map([[plan.id, { cpu }]]), signal);
  assert.ok((await share()) < 0.08);
});

test("what a command leaves running ends with it, also before a restart", async () => {
  await using host = await taskHost();
  const plan = await running(host, { command: ["sh", "-c", "setsid sleep 1000 & exit 0"] });
  await whenSeen(host.driver, plan.id, (one) => one.state === "exited");
  const count = (group: string): number => {
    const path = `${host.options.cgroupParent}/task-0/${group}`;
    return host.options.cgroups.openForCpu(path).pids().length;
  };
  assert.deepEqual([count("supervisor"), count("main")], [1, 0]);
});

test("a command that ignores the polite signal is killed after its grace, and one that does not is not", async () => {
  await using host = await taskHost();
  const stubborn = await running(host, {
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"],
  });
  await host.driver.stop(stubborn.id, millis(50), signal);
  assert.equal(host.driver.observe()[0]?.state, "stopped");
  await host.driver.destroy(stubborn.id, signal);
  const polite = await running(host, {
    command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hi; while :; do sleep 0.01; done"],
  });
  while ((await host.driver.readLog(polite.id, 100, signal)) === "") await clock.sleep(millis(1), signal);
  await host.driver.stop(polite.id, millis(10_000), signal);
  assert.equal(await host.driver.readLog(polite.id, 100, signal), "hi\nbye\n");
});

test("output beyond its limit is rotated, and its end is still there", async () => {
  await using host = await taskHost({ outputBytesMax: bytes(20_000) });
  const plan = await running(host, { command: ["sh", "-c", "seq 1 10000; exec sleep 1000"] });
  const old = join(host.options.stateDir, "slots/0/log.1");
  while (!existsSync(old)) await clock.sleep(millis(20), signal);
  assert.match(await host.driver.readLog(plan.id, 100, signal), /\n9999\n10000\n$/);
  assert.equal(readFileSync(join(host.options.stateDir, "slots/0/log"), "utf8"), "");
});

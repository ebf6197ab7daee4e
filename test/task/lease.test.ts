import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { conformanceId, conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { stampingCommand } from "../recovery/witness.ts";
import { clearHost, clock, hostOptions, signal, taskHost } from "./host.ts";

/** Managers wait a second longer than the lease before they start an appliance elsewhere. */
const marginMs = 1000;
const longMs = 3_600_000;

const logOf = (options: TaskDriverOptions): string =>
  readFileSync(join(options.stateDir, "slots/0/log"), "utf8");

/** All whole stamps: which instance, and when. */
function stamps(options: TaskDriverOptions): { instance: string; ns: bigint }[] {
  return logOf(options)
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split(" "))
    .map(([, instance = "", ns = "0"]) => ({ instance, ns: BigInt(ns) }));
}

/** A manager of its own process; resolves once its appliance has stamped, with the last lease end it told of. */
async function leasingManager(options: TaskDriverOptions) {
  const { stateDir, cgroupParent, netnsPrefix } = options;
  const command = JSON.stringify(stampingCommand);
  const child = spawn(
    process.execPath,
    [`${import.meta.dirname}/lease.child.ts`, stateDir, cgroupParent, netnsPrefix, command],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let endNs = 0n;
  const lines = createInterface({ input: child.stdout });
  const stamped = new Promise<void>((resolve) => {
    lines.on("line", (line) => {
      endNs = BigInt(line);
      try {
        if (stamps(options).length > 20) resolve();
      } catch {
        // There is no output yet.
      }
    });
  });
  await stamped;
  return { child, toldEndNs: () => endNs };
}

for (const way of ["SIGKILL", "SIGSTOP"] as const) {
  test(`with its manager gone by ${way}, a leased process never stamps after the lease, and goes on with the next one`, async () => {
    const options = hostOptions();
    const { child, toldEndNs } = await leasingManager(options);
    const ended = once(child, "exit");
    const next = new TaskDriver(options);
    try {
      child.kill(way);
      while (!isHeld(options, toldEndNs())) await clock.sleep(millis(20), signal);
      const last = stamps(options).at(-1);
      assert.ok(last !== undefined);
      const lateMs = Number(last.ns - toldEndNs()) / 1e6;
      assert.ok(lateMs < marginMs, `it stamped ${lateMs} ms after the end of its lease`);
      child.kill("SIGKILL");
      await ended;
      await next.recover(signal);
      assert.equal(next.observe()[0]?.state, "fenced");
      assert.equal(stamps(options).at(-1)?.ns, last.ns, "it stamped while it was held");
      next.renewLease(millis(clock.monotonic() + longMs));
      await whenSeen(next, conformanceId, (one) => one.state === "running");
      while (stamps(options).at(-1)?.ns === last.ns) await clock.sleep(millis(5), signal);
      assert.equal(stamps(options).at(-1)?.instance, last.instance, "the same process goes on");
    } finally {
      child.kill("SIGKILL");
      await clearHost(next, options);
    }
  });
}

/** Its supervisor wrote that it holds it. */
function isHeld(options: TaskDriverOptions, endNs: bigint): boolean {
  const journal = readFileSync(join(options.stateDir, "slots/0/journal"), "utf8");
  return process.hrtime.bigint() > endNs && journal.includes("\tfenced\t");
}

test("held, an appliance keeps its connections, but does not answer on its networks", async () => {
  await using host = await taskHost();
  const { driver, options } = host;
  const server =
    "use strict; $| = 1; socket(my $s, 2, 1, 0); bind($s, pack 'S n a4 x8', 2, 7000, pack 'C4', 10, 9, 0, 2); listen($s, 1); print qq(listening\\n); accept(my $c, $s); while (sysread $c, my $line, 100) { syswrite $c, $line }";
  const plan = conformancePlan({ command: ["perl", "-e", server], leased: true });
  await driver.create(plan, new Map(), signal);
  const [seen] = driver.observe();
  assert.ok(seen !== undefined);
  const other = `${options.netnsPrefix}peer`;
  const netns = seen.netns.split("/").at(-1) ?? "";
  const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
  ip("netns", "add", other);
  try {
    ip("link", "add", "eth0", "netns", netns, "type", "veth", "peer", "name", "eth0", "netns", other);
    ip("-n", netns, "addr", "add", "10.9.0.2/24", "dev", "eth0");
    ip("-n", other, "addr", "add", "10.9.0.1/24", "dev", "eth0");
    for (const one of [netns, other]) ip("-n", one, "link", "set", "eth0", "up");
    driver.renewLease(millis(clock.monotonic() + 1500));
    await driver.start(plan.id, signal);
    while (!(await driver.readLog(plan.id, 100, signal)).includes("listening"))
      await clock.sleep(millis(5), signal);
    const ask =
      "$| = 1; socket(my $c, 2, 1, 0); connect($c, pack 'S n a4 x8', 2, 7000, pack 'C4', 10, 9, 0, 2) or die qq(connect: $!); while (my $line = <STDIN>) { syswrite $c, $line; sysread $c, my $back, 100; print $back }";
    const client = spawn("nsenter", [`--net=/run/netns/${other}`, "perl", "-e", ask], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const answers = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
    const echo = async (word: string): Promise<string> => {
      client.stdin.write(`${word}\n`);
      return (await answers.next()).value as string;
    };
    assert.equal(await echo("before"), "before");
    await whenSeen(driver, plan.id, (one) => one.state === "fenced");
    assert.throws(() => pingFrom(other), "a held appliance answers");
    driver.renewLease(millis(clock.monotonic() + longMs));
    await whenSeen(driver, plan.id, (one) => one.state === "running");
    assert.equal(await echo("after"), "after");
    pingFrom(other);
    client.kill("SIGKILL");
    await once(client, "close");
  } finally {
    ip("netns", "del", other);
  }
});

function pingFrom(netns: string): void {
  execFileSync("nsenter", [`--net=/run/netns/${netns}`, "ping", "-c1", "-W1", "10.9.0.2"], {
    stdio: "ignore",
  });
}

test("what a process had stopped itself stays stopped through fence and renewal", async () => {
  await using host = await taskHost();
  const { driver } = host;
  const script = "sleep 1000 & kill -STOP $!; echo stopped $!; while :; do sleep 0.01; done";
  const plan = conformancePlan({ command: ["sh", "-c", script], leased: true });
  await driver.create(plan, new Map(), signal);
  driver.renewLease(millis(clock.monotonic() + 700));
  await driver.start(plan.id, signal);
  let output = "";
  while (!output.includes("\n")) output = await driver.readLog(plan.id, 100, signal);
  const pid = /stopped (\d+)/.exec(output)?.[1];
  await whenSeen(driver, plan.id, (one) => one.state === "fenced");
  driver.renewLease(millis(clock.monotonic() + longMs));
  await whenSeen(driver, plan.id, (one) => one.state === "running");
  const states = new Map<string, string>();
  const onOutput = (_: string, chunk: Uint8Array): void => {
    for (const line of Buffer.from(chunk).toString().split("\n")) {
      const [, one, state] = /^(\d+) \(.*\) (\w)/.exec(line) ?? [];
      if (one !== undefined && state !== undefined) states.set(one, state);
    }
  };
  const command = ["sh", "-c", `cat /proc/${pid}/stat /proc/2/stat`];
  assert.equal(await driver.exec(plan.id, { command, env: {}, onOutput }, signal), 0);
  assert.equal(states.get(pid ?? ""), "T");
  assert.notEqual(states.get("2"), "T");
});

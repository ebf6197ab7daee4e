import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readFileSync, readSync } from "node:fs";
import { rmSync, rmdirSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { millis } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { perl } from "#drivers/appliance/task/factory.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { Reservations } from "#drivers/appliance/task/reservations.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import { readRecord } from "#drivers/appliance/task/record.ts";
import { Slot } from "#drivers/appliance/task/slot.ts";
import { Task } from "#drivers/appliance/task/task.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";

const clock = systemClock();
const { O_RDWR, O_NONBLOCK } = constants;

/** A task in a slot whose supervisor is this process: what it is told waits in the control FIFO. */
function taskWith(leased: boolean) {
  const slotsDirectory = mkdtempSync(join(tmpdir(), "consort-task-"));
  const place = {
    slotsDirectory,
    cgroupParent: "consort-test-no-such-group",
    netnsPrefix: "none.",
    firstUid: 1,
    leaseFile: join(slotsDirectory, "lease"),
  };
  const slot = new Slot(0, place, systemCgroups(clock));
  slot.reserve();
  const path = (name: string): string => join(slot.directory, name);
  execFileSync(perl, ["-MPOSIX", "-e", "mkfifo $_, 0600 for @ARGV", path("control"), path("events")]);
  const control = openSync(path("control"), O_RDWR | O_NONBLOCK);
  writeFileSync(path("pid"), `${process.pid} ${readStartTime(process.pid)} lease\n`);
  const plan = conformancePlan({ command: ["true"], leased });
  const reservations = new Reservations(new BookedScheduler(), silentLog);
  const waits: PromiseWithResolvers<void>[] = [];
  /** Of restarts: the first wait is over at once, others when they are told to be. */
  const sleep = async (): Promise<void> => {
    const wait = Promise.withResolvers<void>();
    waits.push(wait);
    if (waits.length === 1) wait.resolve();
    await wait.promise;
  };
  const task = new Task(
    slot,
    { plan, phase: "created", run: 0, restarts: 0, oomKills: 0, suspended: false },
    {
      clock: { ...clock, now: () => clock.now(), monotonic: () => clock.monotonic(), sleep },
      log: silentLog,
      remake: async () => {},
      inTurn: (_task, work) => work(),
      askToEnd: () => false,
      onChange: () => {},
      pidsMax: 10,
      reservations,
    },
  );
  task.save({});
  assert.ok(slot.adopt(task.listener));
  task.setLeased(leased);
  const told = (): string => {
    const text = Buffer.alloc(1 << 17);
    try {
      return text.toString("latin1", 0, readSync(control, text));
    } catch {
      return "";
    }
  };
  told();
  return {
    task,
    path,
    told,
    waits,
    reported: () => task.observe(undefined, { isQuiet: true, memoryAgeMsMax: millis(0) }).leased ?? false,
    recorded: () => readRecord(slot.directory)?.plan.leased,
    inSpec: () => /^leased\t1$/m.test(readFileSync(path("spec"), "utf8")),
    /** Until nothing more goes in. */
    fillControl(): void {
      for (const size of [4096, 1]) {
        try {
          for (;;) writeSync(control, Buffer.alloc(size, "\n"));
        } catch {
          // It is full.
        }
      }
    },
    [Symbol.dispose](): void {
      slot.hangUp();
      closeSync(control);
      rmSync(slotsDirectory, { recursive: true });
    },
  };
}

for (const leased of [true, false]) {
  const change = leased ? "to obey a lease" : "to need no lease any more";
  const word = leased ? "leased 1\n" : "leased 0\n";

  test(`a task told ${change} reports it, has it on record and in its spec, and its supervisor knows`, () => {
    using it = taskWith(!leased);
    assert.equal(it.reported(), !leased);
    it.task.setLeased(leased);
    assert.equal(it.reported(), leased);
    assert.equal(it.recorded(), leased);
    assert.equal(it.inSpec(), leased);
    assert.equal(it.told(), word);
  });

  test(`a task whose record cannot be written reports as before when it is told ${change}, until it is told again`, () => {
    using it = taskWith(!leased);
    mkdirSync(it.path("appliance.json.new"));
    assert.throws(() => it.task.setLeased(leased), { code: "unavailable" });
    assert.equal(it.reported(), !leased);
    assert.equal(it.recorded(), !leased);
    assert.equal(it.inSpec(), !leased);
    assert.match(it.told(), leased ? /leased 0\n$/ : /^leased 1\n$/);
    rmdirSync(it.path("appliance.json.new"));
    it.task.setLeased(leased);
    assert.equal(it.reported(), leased);
    assert.equal(it.told(), word);
  });

  test(`a task whose spec cannot be written reports as before when it is told ${change}, its supervisor not told`, () => {
    using it = taskWith(!leased);
    rmSync(it.path("spec"));
    mkdirSync(it.path("spec"));
    assert.throws(() => it.task.setLeased(leased), { code: "EISDIR" });
    assert.equal(it.reported(), !leased);
    assert.equal(it.told(), "");
    // Should this manager end now, the next one must not claim that it obeys.
    assert.equal(it.recorded(), false);
    rmdirSync(it.path("spec"));
    it.task.setLeased(leased);
    assert.equal(it.reported(), leased);
    assert.equal(it.inSpec(), leased);
    assert.equal(it.told(), word);
  });

  test(`a task whose supervisor takes no more words reports as before when it is told ${change}`, () => {
    using it = taskWith(!leased);
    it.fillControl();
    assert.throws(() => it.task.setLeased(leased), { code: "EAGAIN" });
    assert.equal(it.reported(), !leased);
    assert.equal(it.inSpec(), !leased);
    assert.equal(it.recorded(), false);
    assert.doesNotMatch(it.told(), /leased/);
    it.task.setLeased(leased);
    assert.equal(it.reported(), leased);
    assert.equal(it.recorded(), leased);
    assert.equal(it.told(), word);
  });
}

test("a run begins with a spec of what is reported, whatever a failed change left in it", async () => {
  using it = taskWith(true);
  it.task.slot.write("spec", "leased\t0\n");
  it.told();
  await it.task.begin("hand");
  assert.equal(it.inSpec(), true);
  assert.equal(it.told(), "start 1\n");
});

test("a run that ends while nothing can be written, as on a full disk, has ended, is written later, and begins anew then", async () => {
  using it = taskWith(false);
  const restart = { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(1) } as const;
  it.task.save({ plan: { ...it.task.record.plan, restart } });
  await it.task.begin("hand");
  it.told();
  mkdirSync(it.path("appliance.json.new"));
  writeFileSync(it.path("journal"), "1\tended\t7\t1000\t\n");
  it.task.listener.onEvent();
  assert.equal(it.task.record.end?.code, 7);
  assert.equal(it.task.record.restarts, 1);
  while (it.waits.length < 2) await setImmediate();
  assert.equal(it.told(), "", "it was to begin anew, which could not be written down");
  rmdirSync(it.path("appliance.json.new"));
  it.reported();
  assert.equal(readRecord(it.task.slot.directory)?.end?.code, 7);
  it.waits.at(-1)?.resolve();
  await it.task.restarted();
  assert.equal(it.told(), "start 2\n");
  assert.equal(it.task.record.end, undefined);
});

test("a lease is told before limits are set, which may be refused", () => {
  using it = taskWith(true);
  assert.throws(() => it.task.prepare(undefined));
  assert.equal(it.told(), "leased 1\n");
});

test("what a quiet task is shown as is made once, until something of it changes or it may have computed", () => {
  using it = taskWith(true);
  const seen = (isQuiet: boolean): ApplianceObservation =>
    it.task.observe(undefined, { isQuiet, memoryAgeMsMax: millis(0) });
  const first = seen(true);
  assert.equal(seen(true), first);
  assert.notEqual(seen(false), first);
  it.task.save({ restarts: 3 });
  assert.equal(seen(true).restarts, 3);
});

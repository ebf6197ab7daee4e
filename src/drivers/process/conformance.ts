import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import type { ProcessIdentity, Processes, StartOptions } from "./port.ts";

const options: StartOptions = { output: "ignore", groupFiles: [] };
/** Runs until it is ended. */
const lasting: readonly string[] = ["sleep", "600"];

export function processesConformance(name: string, make: () => Processes): void {
  test(`${name}: a started process runs, with at least one thread, until a signal ends it`, async () => {
    const processes = make();
    const { ended, release: _, ...identity } = await processes.start(lasting, options);
    assert.deepEqual(processes.identify(identity.pid), identity);
    assert.ok(processes.isRunning(identity));
    assert.ok(processes.threads(identity).includes(identity.pid));
    for (const harmless of [0, "SIGCONT"] as const) assert.equal(processes.signal(identity, harmless), true);
    assert.ok(processes.isRunning(identity));
    assert.equal(processes.signal(identity, "SIGTERM"), true);
    assert.equal((await ended).signal, "SIGTERM");
    assert.equal(processes.isRunning(identity), false);
    assert.equal(processes.signal(identity, "SIGTERM"), false);
    assert.deepEqual(processes.threads(identity), []);
  });

  test(`${name}: whoever starts it is told of it before it runs, once`, async () => {
    const processes = make();
    const told: number[] = [];
    const beforeRun = ({ pid }: ProcessIdentity): void => void told.push(pid);
    const { ended, ...identity } = await processes.start(lasting, { ...options, beforeRun });
    assert.deepEqual(told, [identity.pid]);
    processes.signal(identity, "SIGKILL");
    await ended;
  });

  test(`${name}: another process with the same number is not taken for it`, async () => {
    const processes = make();
    const { ended, ...identity } = await processes.start(lasting, options);
    const earlier = { pid: identity.pid, startTime: `1${identity.startTime}` };
    assert.equal(processes.isRunning(earlier), false);
    assert.equal(processes.signal(earlier, "SIGKILL"), false);
    assert.throws(
      () => processes.join(earlier, []),
      (error) => codeOf(error) === "not_found",
    );
    assert.ok(processes.isRunning(identity));
    processes.signal(identity, "SIGKILL");
    await ended;
  });

  test(`${name}: what does not run is not identified, and nothing cannot be started`, async () => {
    const processes = make();
    assert.equal(processes.identify(2 ** 22 + 1), undefined);
    await assert.rejects(processes.start([], options), (error) => codeOf(error) === "bad_input");
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { MonitorDriver, MonitorTarget } from "#drivers/monitor/port.ts";
import type { MonitorSource } from "#model/ensemble.ts";
import type { MonitorPlan } from "#protocol/host-plan.ts";

/** One kind of source, on an appliance of which it can measure something. */
export type MonitorSubject = {
  readonly driver: MonitorDriver;
  readonly source: MonitorSource;
  readonly target: MonitorTarget;
  /** Rejects if anything remains of its appliance. */
  [Symbol.asyncDispose](): Promise<void>;
};

const { signal } = new AbortController();

export function monitorPlan({ source, target }: MonitorSubject): MonitorPlan {
  return {
    ensemble: ensembleName("conformance"),
    name: "seen",
    appliance: target.appliance,
    everyMs: millis(20),
    source,
  };
}

/** Resolves with the first readings there are. */
async function firstReadings(probe: ReturnType<MonitorDriver["open"]>): Promise<readonly unknown[]> {
  for (;;) {
    const readings = await probe.read(signal);
    for (const { metric, value } of readings) {
      assert.match(metric, /^[\w.:-]*$/);
      assert.ok(Number.isFinite(value), `${metric} is ${value}`);
    }
    if (readings.length > 0) return readings;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What every monitor driver does, for each source it has. */
export function monitorConformance(name: string, subject: () => Promise<MonitorSubject>): void {
  test(`${name}: tells finite numbers under plain names, again and again`, async () => {
    await using one = await subject();
    const probe = one.driver.open(monitorPlan(one), one.target);
    await firstReadings(probe);
    await firstReadings(probe);
    probe.close();
  });

  test(`${name}: two monitors of one appliance do not disturb each other, and closing twice does not hurt`, async () => {
    await using one = await subject();
    const [first, second] = [
      one.driver.open(monitorPlan(one), one.target),
      one.driver.open(monitorPlan(one), one.target),
    ];
    await Promise.all([firstReadings(first), firstReadings(second)]);
    first.close();
    first.close();
    await firstReadings(second);
    second.close();
  });

  test(`${name}: ends a reading with the reason of its signal`, async () => {
    await using one = await subject();
    const probe = one.driver.open(monitorPlan(one), one.target);
    const reason = new Error("enough");
    await assert.rejects(probe.read(AbortSignal.abort(reason)), reason);
    await firstReadings(probe);
    probe.close();
  });

  test(`${name}: tells that an appliance is not there`, async () => {
    await using one = await subject();
    const nobody = applianceId(ensembleName("conformance"), applianceName("nobody"));
    const target = { ...one.target, appliance: nobody, netns: `${one.target.netns}.nobody` };
    const look = async (): Promise<unknown> => {
      const probe = one.driver.open({ ...monitorPlan(one), appliance: nobody }, target);
      try {
        return await probe.read(signal);
      } finally {
        probe.close();
      }
    };
    await assert.rejects(look(), (error: { code?: string }) =>
      ["driver_failed", "not_found"].includes(error.code ?? ""),
    );
  });
}

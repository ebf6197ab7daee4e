import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Arguments } from "#cli/arguments.ts";
import type { CommandContext } from "#cli/command.ts";
import type { ProfileOptions } from "#cli/profile-options.ts";
import { progressOn } from "#cli/progress.ts";
import { isTight } from "#control/profile/confidence.ts";
import type { Profile } from "#control/profile/profile.ts";
import { profileOfUse } from "#control/profile/use.ts";
import type { UseSample } from "#control/profile/use.ts";
import type { ApplianceStatus, EnsembleStatus } from "#protocol/http/status.ts";

/** Hosts tell what was used about once a second; a little more lets every look see something new. */
const lookEveryMs = millis(1100);
const looksLeast = 5;

/** Looks at a running appliance's counters, again and again, as its hosts tell them anyway. */
export async function profileAppliance(
  [ensemble, appliance]: readonly [string, string],
  options: ProfileOptions,
  given: Arguments,
  context: CommandContext,
): Promise<{ readonly profile: Profile; readonly tight: boolean }> {
  const client = await connect(given, context);
  const { clock, signal } = context;
  const progress = progressOn(context);
  const samples: UseSample[] = [];
  try {
    for (;;) {
      const { one, sample } = await look(client, ensemble, appliance, signal);
      samples.push(sample);
      const { periodMs, coveredPart } = options;
      const { reservation } = one;
      const profile = profileOfUse(samples, {
        coveredPart,
        ...(periodMs === undefined ? {} : { periodMs }),
        ...(reservation === undefined ? {} : { reservation }),
      });
      const tight = samples.length >= looksLeast && isTight(profile.utilisation, options.withinPart);
      if (tight || samples.length >= options.runs) return { profile, tight: samples.length < options.runs };
      progress.show(`look ${samples.length} of ${options.runs}: ${one.cpuUsedMilli / 10}% CPU`);
      await clock.sleep(lookEveryMs, signal);
    }
  } finally {
    progress.end();
  }
}

async function look(
  client: Client,
  ensemble: string,
  appliance: string,
  signal: AbortSignal,
): Promise<{ readonly one: ApplianceStatus; readonly sample: UseSample }> {
  const status = await client.request<EnsembleStatus>("GET", route`/v1/ensembles/${ensemble}`, signal);
  const one = status.appliances.find(({ name }) => name === appliance);
  if (one === undefined)
    throw new ConsortError(
      "not_found",
      `Cannot profile ${ensemble}/${appliance}: ${ensemble} has no appliance ${appliance}`,
    );
  if (one.state !== "running")
    throw new ConsortError(
      "conflict",
      `Cannot profile ${ensemble}/${appliance}: it is ${one.state}, running was wanted`,
    );
  return { one, sample: sampleOf(status, one) };
}

/** Traffic is counted per link: without links nothing is known of it. */
function sampleOf(status: EnsembleStatus, one: ApplianceStatus): UseSample {
  const sample = { cpuMilli: one.cpuUsedMilli, memoryBytes: one.memoryUsedBytes, intervalMs: lookEveryMs };
  const id = `${one.ensemble}/${one.name}`;
  const own = status.links.filter(({ from, to }) => from === id || to === id);
  if (own.length === 0) return sample;
  const sum = (rates: readonly number[]): number => rates.reduce((total, rate) => total + rate, 0);
  return {
    ...sample,
    outBps: sum(own.map(({ from, forwardBps, backwardBps }) => (from === id ? forwardBps : backwardBps))),
    inBps: sum(own.map(({ from, forwardBps, backwardBps }) => (from === id ? backwardBps : forwardBps))),
  };
}

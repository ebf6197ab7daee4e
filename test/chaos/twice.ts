import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { cgroupTrees, commandOf, processesOf } from "./kernel.ts";
import type { Process } from "./kernel.ts";

const lookEveryMs = millis(30);

/** Looks all the time, until disposed of, whether one appliance runs on two hosts at once, in whatever version. */
export function watchForTwice(lab: string, hosts: readonly string[]): AsyncDisposable & { found: string[] } {
  const clock = systemClock();
  const stop = new AbortController();
  const found: string[] = [];
  const look = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      found.push(...runningTwice(lab, hosts));
      await clock.sleep(lookEveryMs, stop.signal).catch(() => {});
    }
  };
  const looking = look();
  return {
    found,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await looking;
    },
  };
}

/** More than are ever used at once here. */
const slotsLooked = 24;

type Seen = { readonly host: string; readonly process: Process };

function runningTwice(lab: string, hosts: readonly string[]): string[] {
  const [tree = ""] = cgroupTrees();
  const seen = new Map<string, Seen>();
  const twice: string[] = [];
  for (const host of hosts) {
    const groups = Array.from(
      { length: slotsLooked },
      (_, slot) => `${tree}/consort/${lab}/${host}/task-${slot}`,
    );
    for (const process of groups.flatMap((group) => processesOf([group]))) {
      const appliance = /chaos:([^#]+)#/.exec(process.command)?.[1];
      if (appliance === undefined) continue;
      const first = seen.get(appliance);
      // It may have ended there since we looked, and begun here.
      if (first !== undefined && commandOf(first.process.pid) === first.process.command) {
        twice.push(`${appliance} on ${first.host} and ${host}`);
      }
      seen.set(appliance, { host, process });
    }
  }
  return twice;
}

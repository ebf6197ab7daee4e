import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { LabLayout } from "#lab/layout.ts";
import type { LabMachine } from "#lab/machine.ts";
import { netnsName } from "#lab/names.ts";

const pollMs = millis(10);
export const relayStartMsMax = millis(15_000);
const linksSchema = z.array(z.object({ ifname: z.string(), flags: z.array(z.string()) }));

/** Waits until a relay holds every delaying device: before that, what goes between the sites is lost. */
export async function relaysReady(
  lab: string,
  layout: LabLayout,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const deadline = machine.clock.monotonic() + relayStartMsMax;
  for (const { id, delays } of layout.nodes) {
    while (!(await areHeld(netnsName(lab, id), delays, machine, signal))) {
      if (machine.clock.monotonic() > deadline) {
        throw new ConsortError(
          "timeout",
          `Cannot delay packets in lab ${lab}: the relay of ${id} is not ready after ${relayStartMsMax / 1000} s, see its log`,
        );
      }
      await machine.clock.sleep(pollMs, signal);
    }
  }
}

async function areHeld(
  netns: string,
  delays: readonly { readonly device: string }[],
  machine: LabMachine,
  signal: AbortSignal,
): Promise<boolean> {
  if (delays.length === 0) return true;
  const text = await machine.subprocess.check("ip", ["-n", netns, "-json", "link", "show"], signal);
  const links = linksSchema.parse(JSON.parse(text));
  return delays.every(({ device }) =>
    links.some(({ ifname, flags }) => ifname === device && !flags.includes("NO-CARRIER")),
  );
}

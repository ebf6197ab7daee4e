import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { z } from "zod";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { relayForEver } from "#lab/latency/relay.ts";
import { runAhead } from "#lab/latency/tun.ts";

/** Delays packets in a router's namespace of a lab; started there by the lab's supervisor. */
const configSchema = z.strictObject({
  devices: z.array(z.strictObject({ device: z.string(), delayUs: z.number().nonnegative() })).min(1),
});
const priority = 20;

if (import.meta.main) delayPackets();

function delayPackets(): void {
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  if (values.config === undefined) {
    process.stderr.write("Cannot start: no --config FILE given\n");
    process.exit(2);
  }
  const clock = systemClock();
  if (!runAhead(priority, systemCgroups(clock))) {
    process.stderr.write(
      "Not allowed to run ahead of other processes: delays are as late as the machine is busy\n",
    );
  }
  relayForEver(configSchema.parse(JSON.parse(readFileSync(values.config, "utf8"))), clock);
}

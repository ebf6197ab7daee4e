import { jsonLog } from "#drivers/system/log.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { readTrees } from "#drivers/network/class-book.ts";
import { htbMajor } from "#drivers/network/ruleset.ts";
import type { KnownClass } from "#drivers/network/shaping-steps.ts";
import { KernelSocket } from "#drivers/network/kernel/route-socket.ts";
import { hostNetworkDriver } from "#drivers/network/host-network.ts";
import type { HostNetworkOptions } from "#drivers/network/host-network.ts";
import { messageOf } from "#base/errors.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";

/** The network driver in a process of its own, inside a test host's namespace; obeys messages from its parent. */
export type DriverRequest =
  | { readonly ask: "recover" }
  | { readonly ask: "converge"; readonly plan: NetworkPlan }
  | { readonly ask: "counters" }
  | { readonly ask: "segments" }
  | { readonly ask: "classes"; readonly index: number };
export type DriverAnswer = { readonly value?: unknown; readonly error?: string; readonly tookMs: number };

/** What of its options can be sent. */
export type DriverOptions = Omit<HostNetworkOptions, "log" | "naming"> & {
  readonly naming?: Omit<NonNullable<HostNetworkOptions["naming"]>, "clock" | "cgroups">;
};

const routeProtocol = 0;
const [, , text = "{}"] = process.argv;
const { naming, ...options } = JSON.parse(text) as DriverOptions;
const clock = systemClock();
const served = naming === undefined ? {} : { naming: { ...naming, clock, cgroups: systemCgroups(clock) } };
const driver = hostNetworkDriver({ ...options, ...served, log: jsonLog({ clock, fd: 2, level: "error" }) });
const signal = new AbortController().signal;

/** As the kernel shows them. */
function classesOn(index: number): readonly (readonly [number, KnownClass])[] {
  const socket = new KernelSocket(routeProtocol);
  try {
    return [...(readTrees(socket, htbMajor).get(index) ?? [])];
  } finally {
    socket.close();
  }
}

async function answer(request: DriverRequest): Promise<unknown> {
  switch (request.ask) {
    case "recover":
      return driver.recover(signal);
    case "converge":
      return driver.converge(request.plan, signal);
    case "counters":
      return driver.counters(signal);
    case "segments":
      return driver.segments();
    case "classes":
      return classesOn(request.index);
    default:
      return request satisfies never;
  }
}

process.on("message", (request: DriverRequest) => {
  const started = clock.monotonic();
  answer(request).then(
    (value) => process.send?.({ value, tookMs: clock.monotonic() - started } satisfies DriverAnswer),
    (cause: unknown) =>
      process.send?.({ error: messageOf(cause), tookMs: clock.monotonic() - started } satisfies DriverAnswer),
  );
});

import { megabitsPerSecond } from "#base/units.ts";
import { networkConformance } from "#drivers/network/conformance.ts";
import type { NetworkDriver } from "#drivers/network/port.ts";
import { Fabric } from "./fabric.ts";
import type { Guest, TestHost } from "./fabric.ts";

/** The driver in its process inside the host's namespace, as if it were here. */
function remoteDriver(host: TestHost): NetworkDriver {
  let segments: ReturnType<NetworkDriver["segments"]> = [];
  const refresh = async (): Promise<void> => {
    segments = (await host.ask({ ask: "segments" })).value as typeof segments;
  };
  return {
    async recover(signal) {
      signal.throwIfAborted();
      await host.ask({ ask: "recover" });
      await refresh();
    },
    async converge(plan, signal) {
      signal.throwIfAborted();
      await host.converge(plan);
      await refresh();
    },
    counters: () => host.counters(),
    segments: () => segments,
    close: () => host.killDriver(),
  };
}

networkConformance("network of a real host", async () => {
  const { signal } = new AbortController();
  const fabric = await Fabric.make(1, megabitsPerSecond(1000));
  const guests = [1, 2, 3].map((number): Guest => ({
    ensemble: "shop",
    network: "lan",
    name: `guest-${number}`,
    host: 1,
    number,
  }));
  await fabric.addGuests(guests);
  const [host] = fabric.hosts;
  if (host === undefined) throw new Error("the fabric has no host");
  const open = async (): Promise<NetworkDriver> => {
    const driver = remoteDriver(host);
    await driver.recover(signal);
    return driver;
  };
  const guestAt = (address: string): Guest => {
    const found = guests.find((guest) => address.endsWith(`.${guest.number}`));
    if (found === undefined) throw new Error(`no guest has the address ${address}`);
    return found;
  };
  return {
    driver: await open(),
    namespacePrefix: `${fabric.prefix}g`,
    reaches: (from, to) => fabric.reaches(guestAt(from.address), guestAt(to.address)),
    async reopen() {
      await host.killDriver();
      await host.startDriver();
      return open();
    },
    [Symbol.asyncDispose]: () => fabric[Symbol.asyncDispose](),
  };
});

import { networkConformance } from "./conformance.ts";
import { FakeHostNetwork, fakeNetworkDriver } from "./fake.ts";

networkConformance("fake network", async () => {
  const host = new FakeHostNetwork();
  const { signal } = new AbortController();
  const open = async () => {
    const driver = fakeNetworkDriver(host);
    await driver.recover(signal);
    return driver;
  };
  return {
    driver: await open(),
    namespacePrefix: "guest-",
    reaches: (from, to) => Promise.resolve(host.send({ from: from.mac, to: to.mac, bytes: 98 })),
    reopen: open,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
});

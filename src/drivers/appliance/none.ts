import { ConsortError } from "#base/errors.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";

const refuse = (): Promise<never> =>
  Promise.reject(
    new ConsortError("unsupported", "Cannot run an appliance: this machine is a site's gateway"),
  );

/** For a gateway: it runs no appliances, and says so when asked. */
export const noAppliances: ApplianceDriver = {
  kinds: [],
  capabilities: new Set(),
  recover: () => Promise.resolve(),
  observe: () => [],
  create: refuse,
  start: refuse,
  stop: refuse,
  destroy: refuse,
  adapt: refuse,
  suspend: refuse,
  resume: refuse,
  renewLease: () => {},
  setNames: refuse,
  exec: refuse,
  readLog: refuse,
  onChange: () => {},
  close: () => Promise.resolve(),
};

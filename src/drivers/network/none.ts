import type { NetworkDriver } from "#drivers/network/port.ts";

/** For a gateway: it routes other hosts' segments and carries none itself, so its interfaces are left as they are. */
export const noSegments: NetworkDriver = {
  recover: () => Promise.resolve(),
  converge: () => Promise.resolve(),
  counters: () => Promise.resolve([]),
  segments: () => [],
  close: () => Promise.resolve(),
};

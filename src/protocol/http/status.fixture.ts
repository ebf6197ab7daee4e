import type { HostStatus } from "#protocol/http/status.ts";

/** A host that is well and runs nothing; a test names only what it is about. */
export const sampleHostStatus = (id: string, changes: Partial<HostStatus> = {}): HostStatus => ({
  id,
  site: "alpha",
  role: "host",
  state: "ready",
  scheduling: "open",
  fenced: false,
  address: "172.30.1.11",
  labels: {},
  cpuMilli: 500,
  cpuReservedMilli: 0,
  cpuUsedMilli: 0,
  memoryBytes: 1024,
  memoryReservedBytes: 0,
  memoryUsedBytes: 0,
  uplinkBps: 1e9,
  appliances: 0,
  tunnels: [],
  lastSeenMs: 0,
  problems: [],
  ...changes,
});

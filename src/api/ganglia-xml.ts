import type { DiskRate } from "#api/disk-rates.ts";
import type { ApplianceStatus, EnsembleStatus, HostStatus } from "#protocol/http/status.ts";

/**
 * What Ganglia's own tools (gmetad, gstat, its web front end) read from a gmond: every host, and every appliance as a
 * host of its own (reference emotive.md, Monitoring). Names and units of metrics are those of gmond, so that its
 * graphs work as they are; links and what only Consort knows are added under names of their own.
 */
export type GangliaSource = {
  readonly cluster: string;
  readonly version: string;
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly hosts: readonly HostStatus[];
  readonly ensembles: readonly EnsembleStatus[];
  /** By "ensemble/appliance". */
  readonly guestDisks: ReadonlyMap<string, DiskRate>;
};

/** Seconds without word after which readers take a host for down are four times this. */
const reportSecondsMax = 20;

export function gangliaXml(source: GangliaSource): string {
  const now = seconds(source.atMs);
  const hosts = source.hosts.map((host) => hostElement(host, source));
  const appliances = source.ensembles.flatMap((ensemble) =>
    ensemble.appliances.map((one) => applianceElement(one, ensemble, source)),
  );
  return [
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n',
    `<GANGLIA_XML${attributes({ VERSION: source.version, SOURCE: "gmond" })}>\n`,
    `<CLUSTER${attributes({ NAME: source.cluster, LOCALTIME: now, OWNER: "consort", LATLONG: "unspecified", URL: "unspecified" })}>\n`,
    ...hosts,
    ...appliances,
    "</CLUSTER>\n</GANGLIA_XML>\n",
  ].join("");
}

type Metric = {
  readonly name: string;
  readonly value: number | string;
  readonly type: "float" | "double" | "uint16" | "uint32" | "string";
  readonly units: string;
  readonly group: string;
  /** It never changes. */
  readonly constant?: true;
};

function hostElement(host: HostStatus, source: GangliaSource): string {
  const { machine } = host;
  const cores = host.cpuMilli / 1000;
  const metrics: Metric[] = [
    {
      name: "cpu_num",
      value: Math.max(1, Math.round(cores)),
      type: "uint16",
      units: "CPUs",
      group: "cpu",
      constant: true,
    },
    ...processorMetrics(host.cpuUsedMilli, host.cpuMilli),
    // Ganglia counts memory in KB of 1024 bytes.
    ...memoryMetrics(host.memoryBytes, host.memoryBytes - host.memoryUsedBytes),
    {
      name: "consort_appliances",
      value: host.appliances,
      type: "uint32",
      units: "appliances",
      group: "consort",
    },
    {
      name: "consort_cpu_reserved",
      value: host.cpuReservedMilli / 1000,
      type: "float",
      units: "CPUs",
      group: "consort",
    },
    {
      name: "consort_mem_reserved",
      value: host.memoryReservedBytes / 1024,
      type: "float",
      units: "KB",
      group: "consort",
    },
    { name: "consort_state", value: host.state, type: "string", units: "", group: "consort" },
  ];
  if (machine !== undefined) {
    const [one, five, fifteen] = machine.load;
    metrics.push(
      ...loadMetrics(one, five, fifteen),
      ...networkMetrics((machine.inBps ?? 0) / 8, (machine.outBps ?? 0) / 8),
      ...diskMetrics(machine.readBytesPerSecond, machine.writtenBytesPerSecond),
    );
  } else metrics.push(...loadMetrics(0, 0, 0));
  return element(
    host.id,
    host.address,
    `site=${host.site},role=${host.role}`,
    host.lastSeenMs,
    metrics,
    source,
  );
}

function applianceElement(
  one: ApplianceStatus,
  { name, links }: EnsembleStatus,
  source: GangliaSource,
): string {
  const id = `${name}/${one.name}`;
  const promisedMilli = one.cpuReservedMilli ?? 1000;
  const [memory, free] = memoryOf(one);
  const disk = source.guestDisks.get(id);
  const metrics: Metric[] = [
    {
      name: "cpu_num",
      value: Math.max(1, Math.round(promisedMilli / 1000)),
      type: "uint16",
      units: "CPUs",
      group: "cpu",
    },
    ...processorMetrics(one.cpuUsedMilli, promisedMilli),
    ...memoryMetrics(memory, free),
    ...loadMetrics(one.cpuUsedMilli / 1000, one.cpuUsedMilli / 1000, one.cpuUsedMilli / 1000),
    ...networkMetrics((one.network?.inBps ?? 0) / 8, (one.network?.outBps ?? 0) / 8),
    ...(disk === undefined ? [] : diskMetrics(disk.readBytesPerSecond, disk.writtenBytesPerSecond)),
    { name: "consort_state", value: one.state, type: "string", units: "", group: "consort" },
    { name: "consort_host", value: one.host ?? "", type: "string", units: "", group: "consort" },
    { name: "consort_restarts", value: one.restarts, type: "uint32", units: "restarts", group: "consort" },
    ...links
      .filter((link) => link.from === id || link.to === id)
      .map((link): Metric => {
        const sends = link.from === id;
        const other = (sends ? link.to : link.from).slice(name.length + 1);
        const bps = sends ? link.forwardBps : link.backwardBps;
        return {
          name: `link_${link.network}_${other}_out`,
          value: bps / 8,
          type: "float",
          units: "bytes/sec",
          group: "links",
        };
      }),
  ];
  const address = one.addresses[0]?.address ?? "0.0.0.0";
  const silent = one.state === "lost" || one.state === "pending" || one.state === "gone";
  const host = source.hosts.find((candidate) => candidate.id === one.host);
  const tags = `ensemble=${name},kind=${one.kind}`;
  return element(
    `${one.name}.${name}.consort`,
    address,
    tags,
    silent ? 0 : (host?.lastSeenMs ?? 0),
    metrics,
    source,
  );
}

/** All of it and what is free: as a guest tells itself if it does, else of what its host gives it. */
function memoryOf({ guest, memoryLimitBytes, memoryUsedBytes }: ApplianceStatus): readonly [number, number] {
  const { memoryTotalBytes: total, memoryAvailableBytes: available } = guest ?? {};
  if (total !== undefined && available !== undefined) return [total, available];
  const memory = memoryLimitBytes ?? memoryUsedBytes;
  return [memory, memory - memoryUsedBytes];
}

function element(
  name: string,
  address: string,
  tags: string,
  seenMs: number,
  metrics: readonly Metric[],
  { atMs, startedAtMs }: GangliaSource,
): string {
  const age = Math.max(0, seconds(atMs) - seconds(seenMs));
  const opening = attributes({
    NAME: name,
    IP: address,
    TAGS: tags,
    REPORTED: seconds(seenMs),
    TN: age,
    TMAX: reportSecondsMax,
    DMAX: 0,
    LOCATION: "unspecified",
    GMOND_STARTED: seconds(startedAtMs),
  });
  return `<HOST${opening}>\n${metrics.map((metric) => metricElement(metric, age)).join("")}</HOST>\n`;
}

function metricElement({ name, value, type, units, group, constant }: Metric, age: number): string {
  const opening = attributes({
    NAME: name,
    VAL: typeof value === "string" ? value : decimal(value, type),
    TYPE: type,
    UNITS: units,
    TN: age,
    TMAX: reportSecondsMax,
    DMAX: 0,
    SLOPE: constant === true || type === "string" ? "zero" : "both",
    SOURCE: "gmond",
  });
  return `<METRIC${opening}>\n<EXTRA_DATA>\n<EXTRA_ELEMENT${attributes({ NAME: "GROUP", VAL: group })}/>\n</EXTRA_DATA>\n</METRIC>\n`;
}

const percent = (name: string, value: number): Metric => ({
  name,
  value,
  type: "float",
  units: "%",
  group: "cpu",
});

function processorMetrics(usedMilli: number, ofMilli: number): Metric[] {
  const used = ofMilli === 0 ? 0 : Math.min(100, (usedMilli / ofMilli) * 100);
  // What is used is not told apart by who asked for it.
  return [
    percent("cpu_user", used),
    percent("cpu_idle", 100 - used),
    percent("cpu_system", 0),
    percent("cpu_nice", 0),
    percent("cpu_wio", 0),
  ];
}

function memoryMetrics(totalBytes: number, freeBytes: number): Metric[] {
  const kilobytes = (name: string, value: number): Metric => ({
    name,
    value: Math.max(0, value) / 1024,
    type: "float",
    units: "KB",
    group: "memory",
  });
  return [kilobytes("mem_total", totalBytes), kilobytes("mem_free", freeBytes)];
}

function loadMetrics(one: number, five: number, fifteen: number): Metric[] {
  const named = { load_one: one, load_five: five, load_fifteen: fifteen };
  return Object.entries(named).map(([name, value]) => ({
    name,
    value,
    type: "float",
    units: " ",
    group: "load",
  }));
}

function networkMetrics(inBytesPerSecond: number, outBytesPerSecond: number): Metric[] {
  const named = { bytes_in: inBytesPerSecond, bytes_out: outBytesPerSecond };
  return Object.entries(named).map(([name, value]) => ({
    name,
    value,
    type: "float",
    units: "bytes/sec",
    group: "network",
  }));
}

function diskMetrics(readBytesPerSecond: number, writtenBytesPerSecond: number): Metric[] {
  const named = { disk_read: readBytesPerSecond, disk_written: writtenBytesPerSecond };
  return Object.entries(named).map(([name, value]) => ({
    name,
    value,
    type: "float",
    units: "bytes/sec",
    group: "disk",
  }));
}

const seconds = (ms: number): number => Math.floor(ms / 1000);

const decimal = (value: number, type: Metric["type"]): string =>
  type === "float" || type === "double" ? value.toFixed(3) : String(Math.round(value));

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${String(value).replaceAll(/[&<>"']/g, (one) => escapes[one] ?? "")}"`)
    .join("");
}

import { family } from "#api/metric-family.ts";
import type { Sample } from "#api/metric-family.ts";
import type { ApplianceStatus, EnsembleStatus } from "#protocol/http/status.ts";

/** What is reserved and how well it is kept, what is held, what monitors tell, and what strategies did. */
export function adaptationFamilies(ensembles: readonly EnsembleStatus[]): string[] {
  const appliances = ensembles.flatMap((ensemble) => ensemble.appliances);
  const each = (value: (appliance: ApplianceStatus) => number | undefined): Sample[] =>
    appliances.flatMap((appliance) => {
      const measured = value(appliance);
      const { ensemble, name, host = "" } = appliance;
      return measured === undefined ? [] : [{ labels: { ensemble, appliance: name, host }, value: measured }];
    });
  const traffic = (direction: "out" | "in", value: (appliance: ApplianceStatus) => number | undefined) =>
    each(value).map(({ labels, value: rate }) => ({ labels: { ...labels, direction }, value: rate }));
  return [
    family(
      "consort_appliance_cpu_reserved_cores",
      "gauge",
      "Cores promised.",
      each(({ cpuReservedMilli }) => (cpuReservedMilli === undefined ? undefined : cpuReservedMilli / 1000)),
    ),
    family(
      "consort_appliance_suspended",
      "gauge",
      "1 while it is to be held where it is.",
      each(({ suspended }) => (suspended === true ? 1 : 0)),
    ),
    family(
      "consort_appliance_dispatches_total",
      "counter",
      "Time slots given to a reservation, or periods begun.",
      each(({ reservation }) => reservation?.dispatches),
    ),
    family(
      "consort_appliance_misses_total",
      "counter",
      "Of these, the ones that came late or gave less than was reserved and wanted.",
      each(({ reservation }) => reservation?.misses),
    ),
    family("consort_appliance_traffic_promised_bits_per_second", "gauge", "Promised for all its traffic.", [
      ...traffic("out", (one) => one.traffic?.outBps),
      ...traffic("in", (one) => one.traffic?.inBps),
    ]),
    family(
      "consort_measurement",
      "gauge",
      "What a monitor told last: durations in ms, shares as ratios, rates in 1/s.",
      ensembles.flatMap(({ name, measurements = [] }) =>
        measurements.map(({ metric, appliance, value }) => ({
          labels: { ensemble: name, metric, appliance },
          value,
        })),
      ),
    ),
    family(
      "consort_strategy_firings_total",
      "counter",
      "Firings of a strategy since the cluster manager began, by outcome.",
      ensembles.flatMap(({ name, strategies = [] }) =>
        strategies.flatMap((strategy) =>
          (["acted", "refused"] as const).map((outcome) => ({
            labels: { ensemble: name, strategy: strategy.name, outcome },
            value: strategy[outcome],
          })),
        ),
      ),
    ),
  ];
}

import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import { storedRecords } from "#sim/checks/world-of.ts";
import type { Cloud } from "#sim/cloud.ts";

type Known = { readonly host: HostId | undefined; readonly spec: ApplianceSpec };

/** One decision about one appliance: `to` undefined: it is no longer wanted; `from` undefined: it is new. */
export type Decision = {
  readonly atMs: number;
  readonly appliance: ApplianceId;
  readonly from?: HostId;
  readonly to?: HostId;
};

/** What the managers have decided, read from their store when it has changed. */
export class RecordsSeen {
  readonly decisions: Decision[] = [];
  readonly #cloud: Cloud;
  #revision = -1;
  #records = new Map<string, EnsembleRecord>();
  #appliances = new Map<ApplianceId, Known>();

  /** Names as ensembles declare them, also of what is no longer wanted. */
  readonly #declared = new Map<ApplianceId, string>();

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  records(): ReadonlyMap<string, EnsembleRecord> {
    return this.#records;
  }

  appliances(): ReadonlyMap<ApplianceId, Known> {
    return this.#appliances;
  }

  /** The name that an appliance's replicas share: "web" of "shop/web-2". */
  declaredAs(id: ApplianceId): string | undefined {
    return this.#declared.get(id);
  }

  /** Brings it up to date; cheap while the store is at the same revision. */
  look(): void {
    const revision = this.#cloud.storeRevision();
    if (revision === this.#revision) return;
    this.#revision = revision;
    const records = new Map(
      storedRecords(this.#cloud).map((record) => [String(record.ensemble.name), record]),
    );
    for (const [name, record] of records) {
      if (this.#records.get(name) !== record) this.#note(this.#records.get(name), record);
    }
    for (const [name, record] of this.#records) if (!records.has(name)) this.#note(record, undefined);
    this.#records = records;
  }

  #note(before: EnsembleRecord | undefined, after: EnsembleRecord | undefined): void {
    const wanted = after?.state === "present" ? after : undefined;
    const specs = new Map(
      wanted === undefined ? [] : appliancesOf(wanted.ensemble).map(({ id, spec }) => [id, spec]),
    );
    const ids = new Set([...Object.keys(before?.placements ?? {}), ...specs.keys()] as ApplianceId[]);
    for (const appliance of ids) {
      const from = this.#appliances.get(appliance)?.host;
      const spec = specs.get(appliance);
      const to = spec === undefined ? undefined : wanted?.placements[appliance];
      if (spec === undefined) this.#appliances.delete(appliance);
      else {
        this.#appliances.set(appliance, { host: to, spec });
        this.#declared.set(appliance, spec.name);
      }
      if (from === to) continue;
      const atMs = this.#cloud.nowMs;
      this.decisions.push({
        atMs,
        appliance,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      });
    }
  }
}

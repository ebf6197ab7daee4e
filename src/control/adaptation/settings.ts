import { replicaNames } from "#model/appliances.ts";
import type { Adjustment, ApplianceSpec, Ensemble } from "#model/ensemble.ts";

/** What of one appliance strategies may change, as it is now. */
export type Settings = Pick<ApplianceSpec, "cpu" | "traffic"> & { readonly suspended: boolean };

/** The settings of single appliances of an ensemble, being changed one after the other. */
export class SettingsDraft {
  readonly #ensemble: Ensemble;
  readonly #changed = new Map<string, Settings>();

  constructor(ensemble: Ensemble) {
    this.#ensemble = ensemble;
  }

  /** What declares the appliance of this name; undefined: none does. */
  spec(appliance: string): ApplianceSpec | undefined {
    return this.#ensemble.appliances.find((spec) => replicaNames(spec).some((name) => name === appliance));
  }

  now(appliance: string): Settings {
    return this.#changed.get(appliance) ?? this.#before(appliance);
  }

  change(appliance: string, settings: Settings): void {
    this.#changed.set(appliance, settings);
  }

  /** Appliances that are no longer as they were, in the order they were changed. */
  changed(): string[] {
    return [...this.#changed]
      .filter(([name, settings]) => !same(settings, this.#before(name)))
      .map(([name]) => name);
  }

  /** All adjustments of the ensemble, with nothing in them that its specs say anyway. */
  adjustments(): Adjustment[] {
    const before = this.#ensemble.adjustments ?? [];
    const known = new Set(before.map(({ appliance }) => appliance));
    const added = this.changed()
      .filter((name) => !known.has(name))
      .map((appliance): Adjustment => ({ appliance }));
    return [...before, ...added].flatMap((adjustment) => {
      const settings = this.#changed.get(adjustment.appliance);
      const after = settings === undefined ? adjustment : this.#adjustment(adjustment, settings);
      return Object.keys(after).length > 1 ? [after] : [];
    });
  }

  #before(appliance: string): Settings {
    const spec = this.spec(appliance);
    const {
      cpu = spec?.cpu,
      traffic = spec?.traffic,
      suspended = spec?.suspended === true,
    } = this.#adjusted(appliance);
    return {
      ...(cpu === undefined ? {} : { cpu }),
      ...(traffic === undefined ? {} : { traffic }),
      suspended,
    };
  }

  #adjusted(appliance: string): Partial<Adjustment> {
    return this.#ensemble.adjustments?.find((one) => one.appliance === appliance) ?? {};
  }

  #adjustment(before: Adjustment, { cpu, traffic, suspended }: Settings): Adjustment {
    const { appliance, memoryBytes } = before;
    const spec = this.spec(appliance);
    return {
      appliance,
      ...(cpu === undefined || same(cpu, spec?.cpu) ? {} : { cpu }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(traffic === undefined || same(traffic, spec?.traffic) ? {} : { traffic }),
      ...(suspended === (spec?.suspended === true) ? {} : { suspended }),
    };
  }
}

/** Plain data, the same whatever the order of its fields. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([key, value]) => same(value, right.get(key)));
}

import { replicaNames } from "#model/appliances.ts";
import { adjusted, teamsByPath } from "#model/adjustments.ts";
import type { Adjustment, ApplianceSpec, Ensemble, TeamAdjustment, TeamSpec } from "#model/ensemble.ts";

/** What of one appliance strategies may change, as it is now. */
export type Settings = Pick<ApplianceSpec, "cpu" | "traffic"> & {
  readonly suspended: boolean;
  /** Of teams that have something else than is declared. */
  readonly teams?: readonly TeamAdjustment[];
};

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

  /** Its teams, with what they have now. */
  teams(appliance: string): readonly TeamSpec[] {
    const spec = this.spec(appliance);
    if (spec === undefined) return [];
    return adjusted(spec, { appliance, ...optionalTeams(this.now(appliance).teams) }).teams ?? [];
  }

  /** Those that are named; others stay. */
  changeTeams(appliance: string, teams: readonly TeamAdjustment[]): void {
    const now = this.now(appliance);
    const named = new Set(teams.map(({ path }) => path));
    const others = (now.teams ?? []).filter(({ path }) => !named.has(path));
    this.change(appliance, { ...now, teams: [...others, ...teams] });
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
      teams,
    } = this.#adjusted(appliance);
    return {
      ...(cpu === undefined ? {} : { cpu }),
      ...(traffic === undefined ? {} : { traffic }),
      suspended,
      ...optionalTeams(teams),
    };
  }

  #adjusted(appliance: string): Partial<Adjustment> {
    return this.#ensemble.adjustments?.find((one) => one.appliance === appliance) ?? {};
  }

  #adjustment(before: Adjustment, { cpu, traffic, suspended, teams = [] }: Settings): Adjustment {
    // Sizes that no strategy changes stay.
    const {
      appliance,
      cpu: _cpu,
      traffic: _traffic,
      suspended: _suspended,
      teams: _teams,
      ...sizes
    } = before;
    const spec = this.spec(appliance);
    const declared = teamsByPath(spec?.teams ?? []);
    const otherwise = teams.filter(({ path, cpu: part }) => !same(part, declared.get(path)?.cpu));
    return {
      appliance,
      ...(cpu === undefined || same(cpu, spec?.cpu) ? {} : { cpu }),
      ...sizes,
      ...(traffic === undefined || same(traffic, spec?.traffic) ? {} : { traffic }),
      ...(suspended === (spec?.suspended === true) ? {} : { suspended }),
      ...optionalTeams(otherwise.length === 0 ? undefined : otherwise),
    };
  }
}

const optionalTeams = (teams: readonly TeamAdjustment[] | undefined): Pick<Settings, "teams"> =>
  teams === undefined ? {} : { teams };

/** Plain data, the same whatever the order of its fields. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([key, value]) => same(value, right.get(key)));
}

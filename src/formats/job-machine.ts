import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import { ensembleDocument, parseEnsembleSource } from "#formats/ensemble.ts";
import type { ApplianceDocument } from "#formats/ensemble-schema.ts";
import type { Parsed } from "#formats/problem.ts";
import { memberOf } from "#formats/source.ts";
import type { MemberPlace, Source } from "#formats/source.ts";
import { ensembleName } from "#base/ids.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";

/** What the only appliance of a job's own ensemble is called. */
export const machineName = "machine";

/** A task machine that only waits for what is run in it. */
const idle = ["sleep", "infinity"];

/** Of a job's document, the machine that is made for it, by the rules of ensemble files; problems with their places. */
export function readMachine(source: Source, file: string): Parsed<ApplianceSpec> {
  const given = memberOf(source.value, "machine");
  const map = typeof given === "object" && given !== null ? given : {};
  const machine = memberOf(map, "kind") === "vm" ? map : { ...map, command: idle };
  const own = source.places.get(map);
  if (own !== undefined) source.places.set(machine, own);
  const appliances = { [machineName]: machine };
  const at = source.places.get(source.value as object)?.get("machine");
  if (at !== undefined) source.places.set(appliances, new Map([[machineName, at]]));
  const document = { ensemble: "job", appliances };
  const places: [string, MemberPlace][] = at === undefined ? [] : [["appliances", at]];
  if (at !== undefined) source.places.set(document, new Map(places));
  const parsed = parseEnsembleSource({ value: document, places: source.places }, file);
  if (!parsed.ok) {
    const problems = parsed.problems.map((one) => ({ ...one, path: one.path.replace(/^appliances\./, "") }));
    return { ok: false, problems };
  }
  const [spec] = parsed.value.appliances;
  if (spec === undefined) throw new TypeError("an ensemble of one appliance has none");
  return { ok: true, value: spec };
}

/** The ensemble that is made for a job. */
export function machineEnsemble(name: string, job: string, machine: ApplianceSpec): Ensemble {
  return {
    name: ensembleName(name),
    description: `made for the job ${job}`,
    appliances: [machine],
    networks: [{ name: ensembleDefaults.network }],
    links: [],
    placement: [],
  };
}

export function machineDocument(machine: ApplianceSpec): Omit<ApplianceDocument, "command"> {
  const whole = ensembleDocument(machineEnsemble("job", "", machine)).appliances[machineName];
  const { command: _idle, ...document } = whole ?? {};
  return document;
}

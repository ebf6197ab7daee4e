import type { Ensemble, ServiceClass } from "#model/ensemble.ts";

/** Always there; users declare others between them. */
export const gold: ServiceClass = { name: "gold", priority: 0 };
export const bestEffort: ServiceClass = { name: "best-effort", priority: 7 };

/** All classes of an ensemble, the one that gets spare bandwidth first before the others. */
export function serviceClassesOf({ serviceClasses = [] }: Pick<Ensemble, "serviceClasses">): ServiceClass[] {
  return [gold, ...serviceClasses, bestEffort].toSorted((a, b) => a.priority - b.priority);
}

/** 0 borrows first … 7 last; a class nobody declared is as best effort (formats/ refuses it). */
export function priorityOf(name: string, ensemble: Pick<Ensemble, "serviceClasses">): number {
  return (serviceClassesOf(ensemble).find((one) => one.name === name) ?? bestEffort).priority;
}

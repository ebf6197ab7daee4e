/** Maps resources of one level on those of the level below, or multiplexes them. */
export interface ResourceManager<Resource, Param, Policy> {
  /** Admission test: throws as `reserve` would, and changes nothing. */
  admit(resource: Resource, param: Param): void;
  /** Throws `unsatisfiable` with the reason, having changed nothing. */
  reserve(resource: Resource, param: Param): void | Promise<void>;
  /** Gives its reservation back; it stays a resource. */
  expel(resource: Resource): void | Promise<void>;
  /** Other reservations for several at once: all of them, or none. */
  adapt(changes: ReadonlyMap<Resource, Param>): void;
  getResources(): readonly Resource[];
  /** Some tell what it is as a resource of theirs. */
  addResource(resource: Resource): void | Promise<void> | Resource;
  removeResource(resource: Resource): void | Promise<void>;
  getPolicy(): Policy;
  /** Throws `unsupported` for one it cannot keep, `unsatisfiable` when what is reserved cannot be kept under it. */
  setPolicy(policy: Policy): void;
}

/** A manager of resources that execute. */
export interface Scheduler<Resource, Param, Policy, Schedule> extends ResourceManager<
  Resource,
  Param,
  Policy
> {
  /** Held where it is; its reservation stays its own. */
  suspend(resource: Resource): void;
  resume(resource: Resource): void;
  /** Who runs when. */
  schedule(): Schedule;
}

import { systemClock } from "#drivers/system/clock.ts";
import { ResourceInterceptor as Interceptor } from "#tasks/interception.ts";
import type { StrategyActivator } from "#tasks/interception.ts";
import type { AbstractResource } from "#tasks/resource.ts";

/** Knows the resources that serve a path, and acts on violations of it by strategies. By this machine's clock. */
export class ResourceInterceptor<Message> extends Interceptor<Message> {
  /** `resourcesOf` a message: the machines, teams or connections that serve it. The last `firingsKept` are remembered. */
  constructor(
    name: string,
    resourcesOf: (message: Message) => readonly AbstractResource[],
    activator?: StrategyActivator,
    firingsKept?: number,
  ) {
    super(name, resourcesOf, systemClock(), activator, firingsKept);
  }
}

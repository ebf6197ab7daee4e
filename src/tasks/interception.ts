import type { Clock } from "#base/runtime.ts";
import type { AbstractResource } from "./resource.ts";

/**
 * Adaptation in the paths programs communicate by:
 *
 *   message --> resource interceptor --> monitor interceptor --> receiver
 *                     | machines of the path     | violation
 *                     v                          v
 *               strategy activator <------ strategy selector
 *
 * A monitor interceptor measures what passes, and tells when the quality of service is violated; a resource interceptor
 * knows which resources serve the path; a selector chooses what to do about a violation, and an activator does it.
 * All are plugged in and out while messages pass.
 */
export type Interceptor<Message> = {
  readonly name: string;
  /** Passes the message on, another one, several, or none. */
  intercept(message: Message, next: (message: Message) => void): void;
};

/** Seen by a monitor, named with its metric where it has several: a value beyond what is acceptable, in words that name both. */
export type Violation = { readonly monitor: string; readonly value: number; readonly reason: string };

/** What to do about a violation; made by a selector, carried out by an activator. */
export type Strategy = {
  readonly name: string;
  readonly apply: (resources: readonly AbstractResource[]) => void;
};

/** Undefined: nothing to be done by this one. */
export type StrategySelector = (violation: Violation) => Strategy | undefined;

/** One firing, with its reason and what became of it; made by an activator. */
export type Firing = {
  readonly violation: Violation;
  readonly strategy: string;
  readonly outcome: "applied" | "refused";
  /** Why it was refused. */
  readonly problem?: string;
};

/** A firing as it is kept. */
export type KeptFiring = Firing & {
  /** When the violation was told of: milliseconds since 1970, by this machine's clock. */
  readonly atMs: number;
};

export type StrategyActivator = (
  strategy: Strategy,
  violation: Violation,
  resources: readonly AbstractResource[],
) => Firing;

/** Where messages pass on their way to a receiver; interceptors come in the order in which they were plugged in. */
export class CommunicationPath<Message> {
  readonly name: string;
  readonly #receiver: (message: Message) => void;
  #interceptors: readonly Interceptor<Message>[] = [];

  constructor(name: string, receiver: (message: Message) => void) {
    this.name = name;
    this.#receiver = receiver;
  }

  /** Takes effect with the next message. Dispose of the result to unplug it. */
  plug(interceptor: Interceptor<Message>): Disposable {
    this.#interceptors = [...this.#interceptors, interceptor];
    return {
      [Symbol.dispose]: () => {
        this.#interceptors = this.#interceptors.filter((plugged) => plugged !== interceptor);
      },
    };
  }

  get interceptors(): readonly Interceptor<Message>[] {
    return this.#interceptors;
  }

  send(message: Message): void {
    this.#pass(message, this.#interceptors, 0);
  }

  #pass(message: Message, through: readonly Interceptor<Message>[], from: number): void {
    const interceptor = through[from];
    if (interceptor === undefined) this.#receiver(message);
    else interceptor.intercept(message, (next) => this.#pass(next, through, from + 1));
  }
}

/** Measures every message; undefined values and those that `problem` finds nothing wrong with pass silently. */
export function monitorInterceptor<Message>(monitor: {
  readonly name: string;
  readonly measure: (message: Message) => number | undefined;
  /** Why a value is a violation; undefined: it is none. */
  readonly problem: (value: number) => string | undefined;
  readonly onViolation: (violation: Violation) => void;
}): Interceptor<Message> {
  return {
    name: monitor.name,
    intercept(message, next) {
      const value = monitor.measure(message);
      const reason = value === undefined ? undefined : monitor.problem(value);
      if (value !== undefined && reason !== undefined)
        monitor.onViolation({ monitor: monitor.name, value, reason });
      next(message);
    },
  };
}

/** Knows the resources that serve a path, and acts on violations of it by strategies. */
export class ResourceInterceptor<Message> implements Interceptor<Message> {
  readonly name: string;
  readonly #resourcesOf: (message: Message) => readonly AbstractResource[];
  readonly #selectors: StrategySelector[] = [];
  readonly #activator: StrategyActivator;
  readonly #clock: Pick<Clock, "now">;
  readonly #firings: KeptFiring[] = [];
  readonly #kept: number;
  #resources: readonly AbstractResource[] = [];

  /** `resourcesOf` a message: the machines, teams or connections that serve it. The last `firingsKept` are remembered. */
  constructor(
    name: string,
    resourcesOf: (message: Message) => readonly AbstractResource[],
    clock: Pick<Clock, "now">,
    activator: StrategyActivator = activateAtOnce,
    firingsKept = 100,
  ) {
    this.name = name;
    this.#resourcesOf = resourcesOf;
    this.#clock = clock;
    this.#activator = activator;
    this.#kept = firingsKept;
  }

  /** Asked in the order in which they were plugged in; the first strategy is carried out. */
  plugSelector(selector: StrategySelector): Disposable {
    this.#selectors.push(selector);
    return {
      [Symbol.dispose]: () => {
        const at = this.#selectors.indexOf(selector);
        if (at >= 0) this.#selectors.splice(at, 1);
      },
    };
  }

  intercept(message: Message, next: (message: Message) => void): void {
    this.#resources = this.#resourcesOf(message);
    next(message);
  }

  /** For monitors. Undefined: no selector had a strategy. */
  violated(violation: Violation): KeptFiring | undefined {
    const atMs = this.#clock.now();
    for (const selector of this.#selectors) {
      const strategy = selector(violation);
      if (strategy === undefined) continue;
      const firing = { ...this.#activator(strategy, violation, this.#resources), atMs };
      this.#firings.push(firing);
      if (this.#firings.length > this.#kept) this.#firings.shift();
      return firing;
    }
    return undefined;
  }

  get firings(): readonly KeptFiring[] {
    return this.#firings;
  }
}

/** The usual activator: carries a strategy out within the call. A refusal, as of an admission test, is told and not thrown. */
export function activateAtOnce(
  strategy: Strategy,
  violation: Violation,
  resources: readonly AbstractResource[],
): Firing {
  const fired = { violation, strategy: strategy.name };
  try {
    strategy.apply(resources);
    return { ...fired, outcome: "applied" };
  } catch (cause) {
    return { ...fired, outcome: "refused", problem: cause instanceof Error ? cause.message : String(cause) };
  }
}

import { ConsortError } from "#base/errors.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { flowDirections } from "#drivers/network/reservations/port.ts";
import type {
  FlowDirection,
  InterfaceReservation,
  InterfaceReservations,
  TrafficTarget,
} from "#drivers/network/reservations/port.ts";
import type { ResourceManager } from "./manager.ts";
import { mustBeOneOf } from "./one-of.ts";
import type { NetworkInterface } from "./physical.ts";
import type { AbstractResource } from "./resource.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** Bandwidth guaranteed, and never exceeded where a ceiling is given. Rates count Ethernet frames. */
export type NetworkParam = { readonly rateBps: BitsPerSecond; readonly ceilingBps?: BitsPerSecond };

export type ConnectionSettings = {
  readonly name: string;
  readonly targets: readonly TrafficTarget[];
  /** Spare bandwidth goes first to 0 (gold), last to 7 (best effort). */
  readonly priority: number;
  /** both: so much each way. out unless told. */
  readonly direction?: ConnectionDirection;
};

export type ConnectionDirection = FlowDirection | "both";

/** Traffic of a machine to some targets, from them, or both ways. */
export class Connection implements AbstractResource {
  readonly kind = "connection";
  readonly level = "virtual";
  readonly machine: VirtualTaskMachine;
  readonly settings: ConnectionSettings;
  readonly manager: NetworkManager;
  readonly #interface: NetworkInterface;
  /** Kept by its manager; undefined: nothing is reserved. */
  reservation: NetworkParam | undefined;

  constructor(
    machine: VirtualTaskMachine,
    settings: ConnectionSettings,
    networkInterface: NetworkInterface,
    manager: NetworkManager,
  ) {
    this.machine = machine;
    this.settings = settings;
    this.manager = manager;
    this.#interface = networkInterface;
  }

  get name(): string {
    return this.settings.name;
  }

  higher(): readonly AbstractResource[] {
    return [this.machine];
  }

  lower(): readonly AbstractResource[] {
    return [this.#interface];
  }
}

/** Of one interface, for each way that bandwidth is reserved there. */
export type Directions = { readonly out: InterfaceReservations; readonly in?: InterfaceReservations };

/**
 * Divides what leaves by one interface, and what arrives there; spare bandwidth goes to the class of the lowest number
 * first, each way by itself.
 */
export class NetworkManager implements ResourceManager<Connection, NetworkParam, "spare-by-priority"> {
  readonly #directions: Directions;
  readonly #connections = new Set<Connection>();

  constructor(directions: Directions) {
    this.#directions = directions;
  }

  admit(connection: Connection, param: NetworkParam): void {
    connection.machine.mustBeThere(`reserve bandwidth for ${connection.name}`);
    for (const way of this.#waysOf(connection)) way.admit(requestOf(connection, param));
  }

  async reserve(connection: Connection, param: NetworkParam): Promise<void> {
    if (connection.reservation !== undefined) {
      this.adapt(new Map([[connection, param]]));
      return;
    }
    this.admit(connection, param);
    const done: InterfaceReservations[] = [];
    try {
      for (const way of this.#waysOf(connection)) {
        await way.reserve(requestOf(connection, param));
        done.push(way);
      }
    } catch (cause) {
      for (const way of done) await way.release(connection.name);
      throw cause;
    }
    connection.reservation = param;
    this.addResource(connection);
  }

  async expel(connection: Connection): Promise<void> {
    if (connection.reservation === undefined) return;
    for (const way of this.#waysOf(connection)) await way.release(connection.name);
    connection.reservation = undefined;
  }

  adapt(changes: ReadonlyMap<Connection, NetworkParam>): void {
    for (const connection of changes.keys())
      if (connection.reservation === undefined)
        throw new ConsortError(
          "not_found",
          `Cannot adapt ${connection.name}: nothing is reserved for it, reserve first`,
        );
    const done: InterfaceReservations[] = [];
    try {
      for (const way of new Set([...changes.keys()].flatMap((each) => this.#waysOf(each)))) {
        way.adapt(this.#changesOn(way, changes));
        done.push(way);
      }
    } catch (cause) {
      const before = new Map([...changes.keys()].map((each) => [each, each.reservation]));
      for (const way of done) way.adapt(this.#changesOn(way, before));
      throw cause;
    }
    for (const [connection, param] of changes) connection.reservation = param;
  }

  getResources(): readonly Connection[] {
    return [...this.#connections];
  }

  addResource(connection: Connection): void {
    if (this.#connections.has(connection)) return;
    this.#connections.add(connection);
    connection.machine.connections.push(connection);
  }

  async removeResource(connection: Connection): Promise<void> {
    await this.expel(connection);
    this.#connections.delete(connection);
    const { connections } = connection.machine;
    const at = connections.indexOf(connection);
    if (at >= 0) connections.splice(at, 1);
  }

  getPolicy(): "spare-by-priority" {
    return "spare-by-priority";
  }

  setPolicy(policy: "spare-by-priority"): void {
    if (policy !== this.getPolicy())
      throw new ConsortError(
        "unsupported",
        `Cannot divide bandwidth by ${String(policy)}: spare-by-priority is the only policy`,
      );
  }

  #changesOn(way: InterfaceReservations, changes: ReadonlyMap<Connection, NetworkParam | undefined>) {
    return [...changes].flatMap(([connection, param]) =>
      param !== undefined && this.#waysOf(connection).includes(way)
        ? [{ name: connection.name, ...param }]
        : [],
    );
  }

  /** Throws `unsupported` where nothing that arrives is reserved. */
  #waysOf({ name, settings: { direction = "out" } }: Connection): readonly InterfaceReservations[] {
    mustBeOneOf("direction", direction, connectionDirections);
    if (direction === "out") return [this.#directions.out];
    if (this.#directions.in === undefined)
      throw new ConsortError(
        "unsupported",
        `Cannot reserve incoming bandwidth for ${name}: none was named when this host was opened, wanted network.incomingBps`,
      );
    return direction === "in" ? [this.#directions.in] : [this.#directions.out, this.#directions.in];
  }
}

const connectionDirections: readonly ConnectionDirection[] = [...flowDirections, "both"];

const requestOf = ({ settings }: Connection, param: NetworkParam): InterfaceReservation => {
  const { name, targets, priority } = settings;
  return { name, targets, priority, ...param };
};

/** Builds connections of machines, from a network interface. */
export class ConnectionFactory {
  readonly #interface: NetworkInterface;
  readonly #manager: NetworkManager;

  constructor(networkInterface: NetworkInterface, manager: NetworkManager) {
    this.#interface = networkInterface;
    this.#manager = manager;
  }

  async create(
    machine: VirtualTaskMachine,
    settings: ConnectionSettings,
    param: NetworkParam,
  ): Promise<Connection> {
    const connection = new Connection(machine, settings, this.#interface, this.#manager);
    await this.#manager.reserve(connection, param);
    return connection;
  }
}

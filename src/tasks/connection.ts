import { ConsortError } from "#base/errors.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { InterfaceReservations, TrafficTarget } from "#drivers/network/reservations/port.ts";
import type { ResourceManager } from "./manager.ts";
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
};

/** Traffic of a machine to some targets. */
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

/** Divides what leaves by one interface; spare bandwidth goes to the class of the lowest number first. */
export class NetworkManager implements ResourceManager<Connection, NetworkParam, "spare-by-priority"> {
  readonly #reservations: InterfaceReservations;
  readonly #connections = new Set<Connection>();

  constructor(reservations: InterfaceReservations) {
    this.#reservations = reservations;
  }

  admit(connection: Connection, param: NetworkParam): void {
    connection.machine.mustBeThere(`reserve bandwidth for ${connection.name}`);
    const { name, targets, priority } = connection.settings;
    this.#reservations.admit({ name, targets, priority, ...param });
  }

  async reserve(connection: Connection, param: NetworkParam): Promise<void> {
    if (connection.reservation !== undefined) {
      this.adapt(new Map([[connection, param]]));
      return;
    }
    connection.machine.mustBeThere(`reserve bandwidth for ${connection.name}`);
    const { name, targets, priority } = connection.settings;
    await this.#reservations.reserve({ name, targets, priority, ...param });
    connection.reservation = param;
    this.addResource(connection);
  }

  async expel(connection: Connection): Promise<void> {
    if (connection.reservation === undefined) return;
    await this.#reservations.release(connection.name);
    connection.reservation = undefined;
  }

  adapt(changes: ReadonlyMap<Connection, NetworkParam>): void {
    for (const connection of changes.keys())
      if (connection.reservation === undefined)
        throw new ConsortError(
          "not_found",
          `Cannot adapt ${connection.name}: nothing is reserved for it, reserve first`,
        );
    this.#reservations.adapt([...changes].map(([{ name }, param]) => ({ name, ...param })));
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
}

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

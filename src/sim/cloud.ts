import type { ApplianceId, HostId } from "#base/ids.ts";
import type { FakeHostNetwork } from "#drivers/network/fake.ts";
import type { FakeGatewayState } from "#drivers/network/tunnels/fake.ts";
import type { StoreEntry } from "#drivers/store/port.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { ClusterService } from "#cluster/service.ts";
import type { Fault } from "#sim/fault.ts";
import type { CloudDescription } from "#sim/settings.ts";

/** One event that has just happened; `process` is the one it was for ("host/a1", "cluster/1"), if any. */
export type SimulatedEvent = {
  readonly atMs: number;
  readonly sequence: number;
  readonly process: string | undefined;
  readonly label: string;
};

/** What runs on a machine, whatever its manager believes. */
export type MachineView = {
  readonly host: HostId;
  /** False between a power loss and the return of the power. */
  readonly powered: boolean;
  readonly appliances: Iterable<ApplianceView>;
};
export type ApplianceView = {
  readonly id: ApplianceId;
  readonly generation: string;
  readonly state: ApplianceState;
  readonly leased: boolean;
  /** Its instructions are carried out at this moment: neither stopped nor held. */
  readonly executes: boolean;
};

export type ProcessView = {
  readonly name: string;
  readonly state: "up" | "paused" | "down";
  /** Counts its starts. */
  readonly incarnation: number;
  /** Of a cluster manager that has started. */
  readonly service?: ClusterService;
};

/** One call of the user's, as the user sees it. */
export type Call = {
  readonly verb: string;
  readonly subject: string;
  readonly askedAtMs: number;
  /** lost: the manager died or could not be reached before it answered; it may have acted. */
  readonly state: "asked" | "answered" | "refused" | "lost";
  readonly endedAtMs?: number;
  /** Which process answered. */
  readonly answeredBy?: string;
  readonly answer?: unknown;
  readonly error?: unknown;
};

export interface CloudClient {
  readonly calls: readonly Call[];
  /** Asks the newest cluster manager that can be reached: `ask("up", "shop", (service, signal) => service.up(shop, signal))`. */
  ask(
    verb: string,
    subject: string,
    work: (service: ClusterService, signal: AbortSignal) => Promise<unknown>,
  ): Call;
}

export interface Cloud {
  readonly nowMs: number;
  readonly machines: ReadonlyMap<HostId, MachineView>;
  readonly networks: ReadonlyMap<HostId, FakeHostNetwork>;
  readonly gateways: ReadonlyMap<HostId, FakeGatewayState>;
  readonly processes: ReadonlyMap<string, ProcessView>;
  readonly client: CloudClient;
  /** Starts "cluster/1", "cluster/2", …; the newest started is the one hosts connect to. */
  startCluster(name: string): void;
  startHost(host: HostId): void;
  /** To be called before its time has come. */
  inject(fault: Fault): void;
  at(atMs: number, work: () => void): void;
  /** Called after every event, when all that follows from it has settled. What it throws ends the run. */
  onEvent(listener: (event: SimulatedEvent) => void): void;
  runUntil(atMs: number): Promise<void>;
  /** Runs until `holds`, asked after every event, or until that time; returns whether it held. */
  runUntilTrue(holds: () => boolean, atMs: number): Promise<boolean>;
  /** Runs until nothing has changed for `quietMs` and no fault is pending; false: not by that time. */
  runUntilQuiet(quietMs: number, atMs: number): Promise<boolean>;
  /** The plan that is durable on a host's disk. */
  storedPlan(host: HostId): HostPlan | undefined;
  stored(prefix: string): readonly StoreEntry[];
  storeRevision(): number;
  traceFingerprint(): string;
  traceLines(): readonly string[];
}

export type { CloudDescription };

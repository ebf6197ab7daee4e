import { ConsortError } from "#base/errors.ts";
import { hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Bytes } from "#base/units.ts";
import { movePlan, nextStep } from "#cluster/moves.ts";
import type { Move } from "#cluster/moves.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { decideNetwork } from "#host/decide.ts";
import { chainOf } from "#model/checkpoint-chain.ts";
import type { AppliancePlan, HostPlan, VmPlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { AttackedHost } from "./attacked-host.ts";
import { networkFor, wrongNetwork } from "./attacked-networks.ts";
import type { Placed, WantedLink, WantedTraffic } from "./attacked-networks.ts";
import { attackedPlan, blobToken, idOf, machineNames } from "./attacked-place.ts";
import type { MachineName } from "./attacked-place.ts";
import type { AttackedWires } from "./attacked-wires.ts";

const hosts = ["a", "b"] as const;
type HostName = (typeof hosts)[number];

/** What is wanted of one machine. */
export type Wanted = {
  readonly generation: number;
  readonly at: HostName;
  readonly move?: Move;
  readonly suspended?: true;
  readonly vcpus?: number;
  readonly memoryBytes?: Bytes;
  /** By its name: to be taken. */
  readonly checkpoint?: string;
  readonly restore?: VmPlan["restore"];
};

/** Two hosts and what a cluster manager is to its machines: says what is wanted where, and follows their moves. */
export class AttackedCloud {
  readonly #guest: BuiltGuest;
  readonly hosts: Readonly<Record<HostName, AttackedHost>>;
  readonly #wires: AttackedWires;
  readonly #records: ReadonlyMap<HostId, HostRecord>;
  readonly wanted = new Map<MachineName, Wanted>();
  readonly links = new Map<string, WantedLink>();
  readonly traffic = new Map<MachineName, WantedTraffic>();
  readonly #plans = new Map<HostName, HostPlan>();
  readonly #sent: Record<HostName, { revision: number; text: string }> = {
    a: { revision: 0, text: "" },
    b: { revision: 0, text: "" },
  };
  #looked = (): void => {};

  constructor(guest: BuiltGuest, wires: AttackedWires) {
    this.#guest = guest;
    this.#wires = wires;
    this.#records = new Map(
      hosts.map((name) => [hostId(name), { address: wires.addresses[name] } as HostRecord]),
    );
    const host = (name: HostName): AttackedHost => {
      const place = {
        netns: wires.namespaceOf(name),
        address: wires.addresses[name],
        cacheDir: wires.directory,
      };
      return new AttackedHost(hostId(name), place, {
        saw: () => this.#look(),
        sent: (id, move) => {
          for (const one of hosts) this.hosts[one].giveWord(id, move);
        },
      });
    };
    this.hosts = { a: host("a"), b: host("b") };
  }

  want(name: MachineName, change: Wanted | undefined): void {
    if (change === undefined) this.wanted.delete(name);
    else this.wanted.set(name, change);
    this.send();
  }

  /** Resolves when what is, is what is wanted; rejects with what is not when `signal` is aborted. */
  settled(signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#wrong(), signal);
  }

  /** Resolves when both hosts have a snapshot to make machines from. */
  warm(signal: AbortSignal): Promise<void> {
    const cold = (): readonly string[] =>
      hosts.filter((host) => !this.hosts[host].hasSnapshot()).map((host) => `${host} has no snapshot`);
    return this.#until(cold, signal);
  }

  async #until(problems: () => readonly string[], signal: AbortSignal): Promise<void> {
    for (;;) {
      const looked = new Promise<void>((resolve) => (this.#looked = resolve));
      const wrong = problems();
      if (wrong.length === 0) return;
      const stop = Promise.withResolvers<void>();
      const abort = (): void => stop.resolve();
      signal.addEventListener("abort", abort, { once: true });
      await Promise.race([looked, stop.promise]);
      signal.removeEventListener("abort", abort);
      if (signal.aborted) throw new ConsortError("timeout", problems().join("; "));
    }
  }

  #look(): void {
    for (const [name, wanted] of this.wanted) {
      const { move } = wanted;
      if (move === undefined) continue;
      const step = nextStep(move, {
        leaving: this.#moveOf(idOf(name), move.from as HostName, move.move),
        arriving: this.#moveOf(idOf(name), move.to as HostName, move.move),
        isFromLost: false,
        isToLost: false,
      });
      const { move: _over, ...others } = wanted;
      if (step.kind === "goes on") this.wanted.set(name, { ...wanted, move: step.move });
      else
        this.wanted.set(name, { ...others, at: (step.kind === "stays" ? move.from : move.to) as HostName });
    }
    this.send();
    this.#looked();
  }

  #seen(id: ApplianceId, host: HostName): ApplianceObservation | undefined {
    return this.hosts[host].saw.observed.find((one) => one.id === id);
  }

  #moveOf(id: ApplianceId, host: HostName, move: string): MoveReport | undefined {
    const report = this.#seen(id, host)?.vm?.move;
    return report?.move === move ? report : undefined;
  }

  /** To those for whom it has changed. */
  send(): void {
    const blobs = { token: blobToken, peers: this.#peers() };
    for (const host of hosts) {
      const appliances = this.#appliancesFor(host);
      const checkpoints = this.#checkpointsFor(host);
      const network = networkFor(host, this.#placed(), this, this.#wires.addresses);
      const text = JSON.stringify({ appliances, checkpoints, blobs, network });
      const sent = this.#sent[host];
      if (text === sent.text && sent.revision > 0) continue;
      const revision = sent.revision + 1;
      this.#sent[host] = { revision, text };
      const plan: HostPlan = {
        host: hostId(host),
        epoch: 1,
        revision,
        appliances,
        ...network,
        tunnels: [],
        checkpoints,
        blobs,
      };
      this.#plans.set(host, plan);
      this.hosts[host].follow(plan);
    }
  }

  #placed(): readonly Placed[] {
    return [...this.wanted].map(([name, { at, move }]) => ({
      name,
      // Those who have sent it away only wait to hear that it has arrived.
      ...(move === undefined
        ? { at }
        : move.state === "sent"
          ? { at: move.to as HostName, to: move.from as HostName }
          : { at: move.from as HostName, to: move.to as HostName }),
    }));
  }

  /** Their ports are other ones after each restart. */
  #peers(): NonNullable<HostPlan["blobs"]>["peers"] {
    return hosts.map((name) => ({
      host: hostId(name),
      address: this.#wires.addresses[name],
      port: this.hosts[name].saw.blobPort,
    }));
  }

  #checkpointsFor(host: HostName): NonNullable<HostPlan["checkpoints"]> {
    return [...this.wanted].flatMap(([name, { at, checkpoint }]) =>
      checkpoint === undefined || at !== host ? [] : [{ id: checkpoint, appliances: [idOf(name)] }],
    );
  }

  /** What a machine goes on from whose checkpoint was taken; undefined: it was not, as its QEMU was hit. */
  taken(name: MachineName): VmPlan["restore"] {
    const { at = "a", checkpoint } = this.wanted.get(name) ?? {};
    const known = this.hosts[at].saw.checkpoints.filter((one) => one.checkpoint.appliance === idOf(name));
    const newest = known.find((one) => one.checkpoint.id === checkpoint);
    if (checkpoint === undefined || newest === undefined) return undefined;
    const checkpoints = chainOf(
      checkpoint,
      known.map((one) => one.checkpoint),
    );
    if (checkpoints === undefined) throw new Error(`The checkpoint ${checkpoint} needs what is not there`);
    return { checkpoints, copies: { hosts: [hostId(at), ...newest.copies] } };
  }

  #appliancesFor(host: HostName): readonly AppliancePlan[] {
    return [...this.wanted].flatMap(([name, wanted]) => {
      const { at, move, suspended, vcpus, memoryBytes, restore } = wanted;
      const plan = attackedPlan(this.#guest, name, wanted.generation);
      const mine = move === undefined ? undefined : movePlan(move, hostId(host), this.#records);
      if (mine === undefined && at !== host) return [];
      const other = host === "a" ? "b" : "a";
      // Not before it is gone from where it was.
      const isHeld = move === undefined && this.#seen(plan.id, other) !== undefined;
      return {
        ...plan,
        ...(suspended === undefined ? {} : { suspended }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(isHeld ? { held: true as const } : {}),
        vm: {
          ...plan.vm!,
          ...(vcpus === undefined ? {} : { vcpus }),
          ...(restore === undefined ? {} : { restore }),
          ...(mine === undefined ? {} : { move: mine }),
        },
      };
    });
  }

  /** What is not as it is wanted, for people. */
  #wrong(): readonly string[] {
    const stale = hosts
      .filter((host) => this.hosts[host].saw.revision !== this.#sent[host].revision)
      .map((host) => `${host} has not followed its plan`);
    const machines = machineNames.flatMap((name) => this.#wrongOf(name));
    const counts = hosts.flatMap((host) => this.#tooMuchOn(host));
    const problems = hosts.flatMap((host) => this.hosts[host].saw.problems);
    const networks = hosts.flatMap((host) => this.#wrongNetworkOf(host));
    const wrong = [...stale, ...machines, ...counts, ...networks];
    return wrong.length === 0 ? [] : [...wrong, ...problems];
  }

  #wrongOf(name: MachineName): readonly string[] {
    const wanted = this.wanted.get(name);
    const seen = hosts.flatMap((host) => {
      const one = this.#seen(idOf(name), host);
      return one === undefined ? [] : [{ host, one }];
    });
    if (wanted === undefined) return seen.map(({ host }) => `${name} is still on ${host}`);
    if (wanted.move !== undefined) {
      const phases = seen.map(({ host, one }) => `${host}: ${JSON.stringify(one.vm?.move)} ${one.state}`);
      return [`${name} moves (${wanted.move.state}; ${phases.join(", ")})`];
    }
    const [first, second] = seen;
    if (second !== undefined) return [`${name} is on both hosts`];
    if (first === undefined || first.host !== wanted.at) return [`${name} is not on ${wanted.at}`];
    const plan = attackedPlan(this.#guest, name, wanted.generation);
    const { state, generation, vm, memoryLimitBytes, message } = first.one;
    const expected = wanted.suspended === true ? "suspended" : "running";
    if (state !== expected || generation !== plan.generation)
      return [`${name} is ${state}, not ${expected} (${message ?? "no message"})`];
    if (state !== "running") return [];
    const size = `${vm?.vcpus} processors and ${memoryLimitBytes} bytes`;
    const asked = `${wanted.vcpus ?? plan.vm?.vcpus} processors and ${wanted.memoryBytes ?? plan.memoryBytes} bytes`;
    if (size !== asked) return [`${name} has ${size}, not ${asked}`];
    if (vm?.agent !== "answers") return [`the guest of ${name} does not answer (${message ?? "no message"})`];
    return this.#wrongCheckpoint(name, wanted);
  }

  #wrongNetworkOf(host: HostName): readonly string[] {
    const plan = this.#plans.get(host);
    const { observed, network } = this.hosts[host].saw;
    if (plan === undefined) return [];
    return wrongNetwork(decideNetwork(plan, observed), network).map((words) => `${host} has ${words}`);
  }

  #wrongCheckpoint(name: MachineName, { at, checkpoint }: Wanted): readonly string[] {
    if (checkpoint === undefined) return [];
    const { state } = this.hosts[at].saw.requests.find(({ id }) => id === checkpoint) ?? {};
    if (state === "taken" || state === "failed") return [];
    return [`the checkpoint ${checkpoint} of ${name} is ${state ?? "not begun"}`];
  }

  /** Machines that snapshots are made from are nobody's, and go. */
  #tooMuchOn(host: HostName): readonly string[] {
    const { saw } = this.hosts[host];
    const count = saw.observed.length;
    // One that was killed while it was held lies there until it is let go on.
    const held = saw.observed.filter(({ state }) => state === "suspended").length;
    const qemus = this.hosts[host].qemus().length;
    const found = {
      QEMUs: qemus < count && qemus >= count - held ? count : qemus,
      slots: this.hosts[host].slots().length,
      directories: this.hosts[host].files().length,
    };
    const here = new Set(saw.observed.map(({ id }) => id));
    const forgotten = saw.onRecord.filter((id) => !here.has(id));
    return [
      ...Object.entries(found)
        .filter(([, many]) => many !== count)
        .map(([what, many]) => `${host} has ${many} ${what} for ${count} machines`),
      ...forgotten.map((id) => `${host} keeps a record of checkpoints of ${id}, which is not there`),
    ];
  }
}

export const otherHost = (host: HostName): HostName => (host === "a" ? "b" : "a");

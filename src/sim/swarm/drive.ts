import { held, resized } from "#cluster/adjusting.ts";
import { operationId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Ledger } from "#sim/checks/ledger.ts";
import type { Cloud } from "#sim/cloud.ts";
import type { Step } from "#sim/swarm/swarm-case.ts";

/** A user who is not answered asks for nothing else of that ensemble until this has passed. */
const patienceMs = 2000;
const lookAgainMs = 100;

/** The operation of the newest drain of a host. */
type Drains = Map<HostId, () => string | undefined>;

/** Does at their times what users and operators do, and notes in the ledger what ensembles' users asked and were told. */
export function drive(cloud: Cloud, steps: readonly Step[], ledger: Ledger): void {
  const drains: Drains = new Map();
  for (const step of steps) cloud.at(step.atMs, () => take(cloud, step, ledger, drains));
}

function take(cloud: Cloud, step: Step, ledger: Ledger, drains: Drains): void {
  switch (step.kind) {
    case "up":
    case "down":
    case "cancel":
    case "resize":
    case "suspend":
    case "resume":
    case "migrate":
    case "park":
    case "unpark":
    case "restore":
      return change(cloud, step, ledger);
    case "checkpoint": {
      const { kind, name, appliances, together } = step;
      cloud.client.ask(kind, name, async (service, signal) =>
        service.takeCheckpoints(name, { appliances, together }, signal),
      );
      return;
    }
    case "take-over":
      return cloud.startCluster(step.cluster);
    case "cordon":
    case "uncordon":
    case "forget":
    case "drain":
    case "cancel-drain":
      return maintain(cloud, step, ledger, drains);
    default:
      step satisfies never;
  }
}

function maintain(cloud: Cloud, step: Extract<Step, { host: HostId }>, ledger: Ledger, drains: Drains): void {
  const { kind, host } = step;
  const since = ledger.hosts.waitingSince(host);
  if (since !== undefined && cloud.nowMs - since < patienceMs) {
    cloud.at(cloud.nowMs + lookAgainMs, () => maintain(cloud, step, ledger, drains));
    return;
  }
  ledger.hosts.giveUp(host);
  if (kind === "cancel-drain") {
    const id = drains.get(host)?.();
    if (id === undefined) return;
    const cancel = cloud.client.ask("cancel", host, async (service, signal) =>
      service.cancel(operationId(id), signal),
    );
    return ledger.hosts.note(host, kind, cancel);
  }
  // Nobody who gives up a host here knows that it is gone.
  const call = cloud.client.ask(kind, host, async (service, signal) =>
    kind === "forget" ? service.forget(host, {}, signal) : service[kind](host, signal),
  );
  ledger.hosts.note(host, kind, call);
  if (kind === "drain") drains.set(host, () => (call.answer as Operation | undefined)?.id);
}

type ChangeStep = Exclude<Step, { kind: "take-over" | "checkpoint" } | { host: HostId }>;

function change(cloud: Cloud, step: ChangeStep, ledger: Ledger): void {
  const name = step.kind === "up" ? step.ensemble.name : step.name;
  const since = ledger.waitingSince(name);
  if (since !== undefined && cloud.nowMs - since < patienceMs) {
    cloud.at(cloud.nowMs + lookAgainMs, () => change(cloud, step, ledger));
    return;
  }
  ledger.giveUp(name);
  switch (step.kind) {
    case "up": {
      const { ensemble } = step;
      return ledger.up(
        ensemble,
        cloud.client.ask("up", name, async (service, signal) => service.up(ensemble, signal)),
      );
    }
    case "down":
      return askDown(cloud, name, ledger);
    case "resize": {
      const request = { sizes: new Map(Object.entries(step.sizes)), moves: step.moves };
      const ask = cloud.client.ask("resize", name, async (service, signal) =>
        service.resize(name, request, signal),
      );
      return ledger.adjust(name, ask, (before) => resized(before, request).ensemble);
    }
    case "suspend":
    case "resume": {
      const { kind, appliances } = step;
      const ask = cloud.client.ask(kind, name, async (service, signal) =>
        service[kind](name, appliances, signal),
      );
      const adjusted = (before: Ensemble): Ensemble => held(before, kind, appliances).ensemble;
      // What is on disk goes on, and nothing of what is held.
      return kind === "resume" ? ledger.adjustOrNot(name, ask, adjusted) : ledger.adjust(name, ask, adjusted);
    }
    case "migrate": {
      const { appliances, to } = step;
      const request = to === undefined ? { appliances } : { appliances, to };
      const ask = cloud.client.ask("migrate", name, async (service, signal) =>
        service.migrate(name, request, signal),
      );
      return ledger.adjust(name, ask, (before) => before);
    }
    case "park":
    case "unpark":
    case "restore":
      return save(cloud, step, ledger);
    case "cancel": {
      const newest = ledger.newestOperation(name);
      if (newest === undefined) return;
      const id = operationId(newest.id);
      return ledger.cancel(
        name,
        cloud.client.ask("cancel", name, async (service, signal) => service.cancel(id, signal)),
        newest.goesBackTo,
      );
    }
    default:
      step satisfies never;
  }
}

function save(
  cloud: Cloud,
  step: Extract<Step, { kind: "park" | "unpark" | "restore" }>,
  ledger: Ledger,
): void {
  const { name } = step;
  const ask = cloud.client.ask(step.kind, name, async (service, signal) => {
    switch (step.kind) {
      case "park":
        return service.suspendToDisk(name, step.appliances, signal);
      case "unpark":
        return step.to === undefined
          ? service.resume(name, step.appliances, signal)
          : service.resumeOn(name, step.to, step.appliances, signal);
      default:
        return service.restore(name, { appliance: step.appliance }, signal);
    }
  });
  if (step.kind !== "unpark") return ledger.adjust(name, ask, (before) => before);
  return ledger.adjustOrNot(name, ask, (before) => held(before, "resume", step.appliances).ensemble);
}

export function askDown(cloud: Cloud, name: string, ledger: Ledger): void {
  ledger.down(
    name,
    cloud.client.ask("down", name, async (service, signal) => service.down(name, signal)),
  );
}

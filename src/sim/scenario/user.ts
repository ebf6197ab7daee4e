import { codeOf, messageOf } from "#base/errors.ts";
import { hostId, operationId } from "#base/ids.ts";
import type { ClusterService } from "#cluster/service.ts";
import type { HostVerb } from "#formats/scenario-content.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Ledger } from "#sim/checks/ledger.ts";
import { storedOperations } from "#sim/checks/world-of.ts";
import type { Call, Cloud } from "#sim/cloud.ts";

/** One thing asked of the cluster manager, as often as it took. */
export type Asked = {
  readonly atMs: number;
  readonly verb: string;
  readonly subject: string;
  state: Call["state"];
  message?: string;
  /** What it means that it is refused: a mistake of the scenario, what it expects, or neither. */
  ifRefused: IfRefused;
};

export type IfRefused = "mistake" | "expected" | "neither";

type Request = {
  readonly verb: string;
  readonly subject: string;
  readonly ifRefused: IfRefused | undefined;
};

type Work = (service: ClusterService, signal: AbortSignal) => Promise<unknown>;

/** Whoever is not answered asks again after so long, … */
const againMs = 500;
/** … at most so often: two minutes. */
const triesMost = 240;

/** The people of a scenario: they ask again when nobody answers, and note what they were told. */
export class ScenarioUser {
  readonly asked: Asked[] = [];
  readonly #cloud: Cloud;
  readonly #ledger: Ledger | undefined;

  /** `ledger`: where acknowledged changes are noted for the invariants; absent: nobody watches. */
  constructor(cloud: Cloud, ledger: Ledger | undefined) {
    this.#cloud = cloud;
    this.#ledger = ledger;
  }

  up(ensemble: Ensemble, ifRefused?: IfRefused): void {
    this.#persist(
      { verb: "up", subject: ensemble.name, ifRefused },
      (service, signal) => service.up(ensemble, signal),
      (call) => this.#ledger?.up(ensemble, call),
    );
  }

  down(name: string, ifRefused?: IfRefused): void {
    this.#persist(
      { verb: "down", subject: name, ifRefused },
      (service, signal) => service.down(name, signal),
      (call) => this.#ledger?.down(name, call),
    );
  }

  host(verb: HostVerb, host: string, ifRefused?: IfRefused): void {
    this.#persist({ verb, subject: host, ifRefused }, (service, signal): Promise<unknown> => {
      if (verb !== "forget") return service[verb](host, signal);
      // Whoever gives it up has looked whether it is off.
      const gone = this.#cloud.machines.get(hostId(host))?.powered === false;
      return service.forget(host, { gone }, signal);
    });
  }

  /** Anything else that declares nothing of an ensemble otherwise. */
  ask(verb: string, name: string, work: Work, ifRefused?: IfRefused): void {
    this.#persist({ verb, subject: name, ifRefused }, work, (call) =>
      this.#ledger?.adjust(name, call, (before) => before),
    );
  }

  /** Of the newest operation that still runs on that ensemble or host. */
  cancel(subject: string, ifRefused?: IfRefused): void {
    const request = { verb: "cancel", subject, ifRefused };
    const newest = storedOperations(this.#cloud)
      .map(({ operation }) => operation)
      .filter((one) => one.state === "running" && (one.ensemble ?? one.host) === subject)
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
      .at(-1);
    if (newest === undefined) {
      this.#note(request, "refused", `nothing is under way on ${subject}`);
      return;
    }
    const id = operationId(newest.id);
    const known = this.#ledger?.newestOperation(subject);
    this.#persist(
      request,
      (service, signal) => service.cancel(id, signal),
      (call) => {
        if (known?.id === newest.id) this.#ledger?.cancel(subject, call, known.goesBackTo);
      },
    );
  }

  /** Elsewhere the scenario says that the newest request of this kind was to be refused. */
  excuse(verb: string, subject: string): void {
    const asked = this.asked.findLast((one) => one.verb === verb && one.subject === subject);
    if (asked?.ifRefused === "mistake") asked.ifRefused = "neither";
  }

  #note(request: Request, state: Call["state"], message?: string): Asked {
    const { verb, subject, ifRefused = "mistake" } = request;
    const asked: Asked = {
      atMs: this.#cloud.nowMs,
      verb,
      subject,
      state,
      ifRefused,
      ...(message === undefined ? {} : { message }),
    };
    this.asked.push(asked);
    return asked;
  }

  #persist(request: Request, work: Work, note: (call: Call) => void = () => {}): void {
    const { verb, subject } = request;
    const asked = this.#note(request, "asked");
    let tries = 0;
    const attempt = (): void => {
      tries += 1;
      const call = this.#cloud.client.ask(verb, subject, work);
      note(call);
      const look = (): void => {
        const unheard =
          call.state === "lost" || (call.state === "refused" && codeOf(call.error) === "unavailable");
        if (unheard && tries < triesMost) return attempt();
        asked.state = call.state;
        if (call.error !== undefined) asked.message = messageOf(call.error);
        if (call.state === "asked") this.#cloud.at(this.#cloud.nowMs + againMs, look);
      };
      this.#cloud.at(this.#cloud.nowMs + againMs, look);
    };
    attempt();
  }
}

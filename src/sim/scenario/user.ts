import { codeOf, messageOf } from "#base/errors.ts";
import { operationId } from "#base/ids.ts";
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

  up(ensemble: Ensemble): void {
    this.#persist(
      "up",
      ensemble.name,
      (service, signal) => service.up(ensemble, signal),
      (call) => this.#ledger?.up(ensemble, call),
    );
  }

  down(name: string): void {
    this.#persist(
      "down",
      name,
      (service, signal) => service.down(name, signal),
      (call) => this.#ledger?.down(name, call),
    );
  }

  host(verb: HostVerb, host: string): void {
    this.#persist(verb, host, (service, signal): Promise<unknown> => service[verb](host, signal));
  }

  /** Of the newest operation that still runs on that ensemble or host. */
  cancel(subject: string): void {
    const newest = storedOperations(this.#cloud)
      .map(({ operation }) => operation)
      .filter((one) => one.state === "running" && (one.ensemble ?? one.host) === subject)
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
      .at(-1);
    if (newest === undefined) {
      this.#note("cancel", subject, "refused", `nothing is under way on ${subject}`);
      return;
    }
    const id = operationId(newest.id);
    const known = this.#ledger?.newestOperation(subject);
    this.#persist(
      "cancel",
      subject,
      (service, signal) => service.cancel(id, signal),
      (call) => {
        if (known?.id === newest.id) this.#ledger?.cancel(subject, call, known.goesBackTo);
      },
    );
  }

  #note(verb: string, subject: string, state: Call["state"], message?: string): Asked {
    const asked: Asked = {
      atMs: this.#cloud.nowMs,
      verb,
      subject,
      state,
      ...(message === undefined ? {} : { message }),
    };
    this.asked.push(asked);
    return asked;
  }

  #persist(verb: string, subject: string, work: Work, note: (call: Call) => void = () => {}): void {
    const asked = this.#note(verb, subject, "asked");
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

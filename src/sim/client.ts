import type { ClusterService } from "#cluster/service.ts";
import type { ClusterSite } from "#sim/cluster-site.ts";
import type { Buses } from "#sim/drivers/bus.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { Random } from "#base/runtime.ts";
import type { Spread } from "#sim/settings.ts";

/** What cuts between the user and a cluster manager are named after. */
const clientName = "client";

/** One call of the user's, as the user sees it. */
export type Call = {
  readonly verb: string;
  readonly subject: string;
  readonly askedAtMs: number;
  /** lost: the manager died or could not be reached before it answered; it may have acted. */
  readonly state: "asked" | "answered" | "refused" | "lost";
  readonly endedAtMs?: number;
  /** The process that was asked. */
  readonly asked?: string;
  readonly answer?: unknown;
  readonly error?: unknown;
};

type OpenCall = { -readonly [Field in keyof Call]: Call[Field] };

type ClientParts = {
  readonly buses: Buses;
  readonly random: Random;
  /** Newest first. */
  readonly clusters: () => readonly ClusterSite[];
};

/** The user: asks the newest cluster manager that can be reached, and remembers what was answered. */
export class SimulatedClient {
  readonly calls: Call[] = [];
  readonly #parts: ClientParts;
  readonly #open = new Map<OpenCall, Incarnation>();

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** `ask("up", "shop", (service, signal) => service.up(shop, signal))`; the call tells how it goes. */
  ask(
    verb: string,
    subject: string,
    work: (service: ClusterService, signal: AbortSignal) => Promise<unknown>,
  ): Call {
    const { time, wire } = this.#parts.buses;
    const call: OpenCall = { verb, subject, askedAtMs: time.nowMs, state: "asked" };
    this.calls.push(call);
    const site = this.#parts
      .clusters()
      .find(({ process, serving }) => serving !== undefined && !wire.isBroken(clientName, process.name));
    const serving = site?.serving;
    if (serving === undefined) {
      this.#end(call, "lost");
      return call;
    }
    const { life, service } = serving;
    call.asked = life.process;
    this.#open.set(call, life);
    life.later(this.#draw(), `client, ${verb}`, () => {
      work(service, new AbortController().signal).then(
        (answer) => this.#reply(call, life, () => this.#end(call, "answered", { answer })),
        (error: unknown) => this.#reply(call, life, () => this.#end(call, "refused", { error })),
      );
    });
    return call;
  }

  /** Whoever asked it gets no answer any more. */
  died(life: Incarnation): void {
    for (const [call, asked] of this.#open) if (asked === life) this.#end(call, "lost");
  }

  #reply(call: OpenCall, life: Incarnation, settle: () => void): void {
    const { time, wire, settings } = this.#parts.buses;
    if (life.isDead) return;
    if (wire.isCut(life.process, clientName)) {
      const patience = time.nowMs + settings.keepAliveMs[1];
      time.schedule(patience, undefined, "client, gives up", () => this.#end(call, "lost"));
      return;
    }
    life.later(this.#draw(), `client, ${call.verb}, answer`, settle);
  }

  #end(call: OpenCall, state: Call["state"], about: Pick<Call, "answer" | "error"> = {}): void {
    if (call.state !== "asked") return;
    this.#open.delete(call);
    Object.assign(call, about, { state, endedAtMs: this.#parts.buses.time.nowMs });
    this.#parts.buses.time.note(`client: ${call.verb} ${call.subject} ${state}`);
  }

  #draw(): number {
    const [least, most]: Spread = this.#parts.buses.settings.messageMs;
    return least + (most - least) * this.#parts.random.next();
  }
}

import { withDeadline } from "#base/deadline.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { applianceId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { Wake } from "#base/wake.ts";
import { checkFits } from "#cluster/adjust-admission.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { checkNotMoving } from "#cluster/moves.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { relayExec } from "#cluster/relay.ts";
import { StrategiesSeen } from "#cluster/strategies-seen.ts";
import type { Due } from "#cluster/strategies-seen.ts";
import { act } from "#control/adaptation/actions.ts";
import type { ActionRun } from "#control/adaptation/actions.ts";
import { actionText } from "#formats/strategy-text.ts";
import type { StrategyAction } from "#model/ensemble.ts";
import type { Measurements, MonitorProblem } from "#protocol/host-report.ts";
import type { EnsembleStatus } from "#protocol/http/status.ts";

/** What came of a firing. */
type Outcome = {
  readonly outcome: "acted" | "refused";
  readonly message: string;
  readonly runs: readonly ActionRun[];
};

/**
 * Does what strategies say, as measurements come (reference vtm.md, Adaptation in middleware).
 *
 *   hosts ── measurements ──► rules ── firing ──► admission ──► one commit ──► host plans
 *                                                    │
 *                                                    └── cannot: recorded with the reason, nothing changes
 *
 * A firing is decided in its turn with everything else that is asked of the cluster, on what is desired then; it is no
 * operation, and ends none: what a user waits for goes on. Every firing is an event, but for those that cannot act for
 * the same reason as before: they are counted.
 */
export class StrategyReconciler {
  readonly #context: ClusterContext;
  readonly #wake: Wake;
  readonly #seen = new Map<string, StrategiesSeen>();
  readonly #due: Due[] = [];

  constructor(context: ClusterContext) {
    this.#context = context;
    this.#wake = new Wake(context.parts.clock);
  }

  /** Takes in what a host has measured. What concerns nobody is dropped. */
  hear({ host, samples, problems = [] }: Measurements): void {
    const { state } = this.#context;
    for (const [name, own] of Map.groupBy(samples, ({ ensemble }) => ensemble)) {
      const record = state.ensemble(name);
      if (record?.state !== "present") continue;
      this.#due.push(...this.#of(name).hear(record, host, own));
    }
    for (const problem of problems) this.#tellProblem(host, problem);
    if (this.#due.length > 0) this.#wake.now();
  }

  /** What the monitors of an ensemble told last, and what its strategies did. Absent where it has none. */
  statusOf(record: EnsembleRecord): Pick<EnsembleStatus, "monitors" | "measurements" | "strategies"> {
    const { monitors = [], strategies = [], name } = record.ensemble;
    return {
      ...(monitors.length === 0
        ? {}
        : { monitors: this.#of(name).monitors(record), measurements: this.#of(name).measurements(record) }),
      ...(strategies.length === 0 ? {} : { strategies: this.#of(name).strategies(record) }),
    };
  }

  /** Acts as strategies fire, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { term, state } = this.#context;
    while (term.supersededBy === undefined) {
      await this.#wake.wait(limits.convergeCheckMs, signal);
      for (const name of this.#seen.keys()) if (state.ensemble(name) === undefined) this.#seen.delete(name);
      for (const due of this.#due.splice(0)) await this.#actOn(due, signal);
    }
  }

  async #actOn(due: Due, signal: AbortSignal): Promise<void> {
    const { ensemble, firing } = due;
    let outcome: Outcome | undefined;
    try {
      outcome = await this.#context.admitInTurn(() => this.#decide(due, signal), signal);
    } catch (cause) {
      signal.throwIfAborted();
      if (codeOf(cause) === "internal") {
        this.#context.parts.log.error(`Strategy ${ensemble}/${firing.rule} failed: ${messageOf(cause)}`, {
          cause,
        });
      }
      outcome = { outcome: "refused", message: withoutCannot(messageOf(cause)), runs: [] };
    }
    if (outcome === undefined) return;
    const told =
      outcome.outcome === "acted"
        ? `${firing.reason}: ${outcome.message}`
        : `${firing.reason}, but nothing could be done: ${outcome.message}`;
    const seen = this.#of(ensemble);
    seen.note(firing.rule, outcome.outcome, told);
    if (seen.isNews(firing.rule, outcome.outcome, outcome.message))
      this.#context.events.append(`strategy.${outcome.outcome}`, `${ensemble}/${firing.rule}`, told);
    this.#context.wake.now();
    for (const run of outcome.runs) void this.#runIn(due, run, signal);
  }

  /** Commits what the strategy says, all of it or nothing; undefined: it was unplugged meanwhile. */
  async #decide({ ensemble, firing }: Due, signal: AbortSignal): Promise<Outcome | undefined> {
    const { state, facts } = this.#context;
    this.#context.checkInCharge();
    return state.change(
      (): { writes: readonly { put: string; value: unknown }[]; result: Outcome | undefined } => {
        const before = state.ensemble(ensemble);
        const strategy = before?.ensemble.strategies?.find(({ name }) => name === firing.rule);
        if (before?.state !== "present" || strategy === undefined) return { writes: [], result: undefined };
        const acted = act(before.ensemble, strategy.actions);
        if (acted.kind === "refused") {
          return { writes: [], result: { outcome: "refused", message: acted.reason, runs: [] } };
        }
        const { changed, adjustments, runs, summary } = acted;
        const done = strategy.actions.map(sentenceOf).join(", ");
        if (changed.length === 0 && runs.length === 0) {
          return { writes: [], result: { outcome: "acted", message: `${done}: it is so already`, runs } };
        }
        const message = `${done} (${summary})`;
        if (changed.length === 0) return { writes: [], result: { outcome: "acted", message, runs } };
        const adjusted = { ...before.ensemble, adjustments };
        const ids = changed.map((name) => applianceId(before.ensemble.name, name));
        checkNotMoving(before, ids, `adapt ${ensemble}`);
        checkFits(before, adjusted, "adapt", facts());
        const value: EnsembleRecord = { ...before, ensemble: adjusted, revision: before.revision + 1 };
        return {
          writes: [{ put: keys.ensemble(ensemble), value }],
          result: { outcome: "acted", message, runs },
        };
      },
      signal,
    );
  }

  async #runIn(
    { ensemble, firing }: Due,
    { appliance, command }: ActionRun,
    signal: AbortSignal,
  ): Promise<void> {
    const { state, parts, events } = this.#context;
    const record = state.ensemble(ensemble);
    if (record === undefined) return;
    const what = `${command[0] ?? ""} in ${ensemble}/${appliance}`;
    const ended = await withDeadline(
      parts.clock,
      limits.strategyRunMsMax,
      (deadline) => relayExec(parts, record, appliance, { command, env: {} }, () => {}, deadline),
      signal,
    ).then(
      (exitCode) => `ended with code ${exitCode}`,
      (cause: unknown) => `failed: ${messageOf(cause)}`,
    );
    if (signal.aborted) return;
    events.append("strategy.ran", `${ensemble}/${firing.rule}`, `${what} ${ended}`);
  }

  /** Once that it fails, and once that it measures again. */
  #tellProblem(host: HostId, problem: MonitorProblem): void {
    const { events, state } = this.#context;
    const { ensemble, monitor, appliance, message } = problem;
    const record = state.ensemble(ensemble);
    if (record?.state !== "present") return;
    const news = this.#of(ensemble).hearProblem(record, host, problem);
    if (news === undefined) return;
    if (message === undefined) {
      events.append("monitor.measures", `${ensemble}/${monitor}`, `${monitor} measures ${appliance} again`);
    } else {
      events.append(
        "monitor.failed",
        `${ensemble}/${monitor}`,
        `${monitor} cannot measure ${appliance}: ${message}`,
      );
    }
  }

  #of(name: string): StrategiesSeen {
    const known = this.#seen.get(name) ?? new StrategiesSeen(name, this.#context.parts.clock);
    this.#seen.set(name, known);
    return known;
  }
}

const sentenceOf = (action: StrategyAction): string =>
  action.kind === "run" ? `run ${action.command[0] ?? ""} in ${action.appliance}` : actionText(action);

/** "Cannot adapt shop: cannot reserve …" within another sentence. */
const withoutCannot = (message: string): string => message.replace(/^Cannot adapt [^:]*: /, "");

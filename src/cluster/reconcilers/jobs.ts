import { messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { Wake } from "#base/wake.ts";
import type { Changes } from "#cluster/changes.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { applianceOf, machineEnsembleOf, nextOfJob } from "#cluster/jobs.ts";
import type { JobAppliance, JobRecord, JobWorld } from "#cluster/jobs.ts";
import { ownerOf, placesOf } from "#cluster/moves.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { machineEnsemble } from "#formats/job-machine.ts";
import { appliancesOf } from "#model/appliances.ts";
import { isOver } from "#model/job.ts";
import type { HostReport } from "#protocol/host-report.ts";

/** Follows jobs from one state to the next (jobs.ts decides), and makes and removes machines that are made for them. */
export class JobReconciler {
  readonly #context: ClusterContext;
  readonly #changes: Changes;
  readonly #wake: Wake;
  /** What hosts told last of their jobs, as text. */
  readonly #told = new Map<HostId, string>();
  /** Machines for which there was no room: not again before, on the monotonic clock. */
  readonly #later = new Map<string, number>();

  constructor(context: ClusterContext, changes: Changes) {
    this.#context = context;
    this.#changes = changes;
    this.#wake = new Wake(context.parts.clock);
  }

  /** Whether a host tells anything new of its jobs. */
  hear({ host, jobs }: HostReport): boolean {
    const text = jobs?.map((one) => `${one.id} ${one.attempt} ${one.state} ${one.message}`).join("\n") ?? "";
    const isNews = (this.#told.get(host) ?? "") !== text;
    if (text === "") this.#told.delete(host);
    else this.#told.set(host, text);
    return isNews;
  }

  /** A job was submitted, or is to end. */
  now(): void {
    this.#wake.now();
    this.#context.wake.now();
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, wake } = this.#context;
    if (this.#next().length === 0) return;
    const changed = await state.change(() => {
      const next = this.#next();
      const writes = next.map(({ after }): StoreWrite => ({ put: keys.job(after.id), value: after }));
      return { writes, result: next };
    }, signal);
    for (const { before, after } of changed) this.#tell(before, after);
    this.#wake.now();
    wake.now();
  }

  #next(): { before: JobRecord; after: JobRecord }[] {
    const world = this.#world();
    return [...this.#context.state.jobs().values()].flatMap((before) => {
      const after = nextOfJob(before, world);
      return after === undefined ? [] : [{ before, after }];
    });
  }

  #tell(before: JobRecord, after: JobRecord): void {
    if (before.state === after.state && before.attempt === after.attempt && before.host === after.host)
      return;
    const where = after.host === undefined || after.state === "queued" ? "" : ` on ${after.host}`;
    const why = after.message === undefined ? "" : `: ${after.message}`;
    // Why it waits for another attempt names the one that failed.
    const isTold = after.state === "queued" && after.message !== undefined;
    const isOneOfSome = after.attempt > 1 || after.job.retry.attemptsMax > 1;
    const attempt = isOneOfSome && !isTold ? `, attempt ${after.attempt}` : "";
    this.#context.events.append(
      `job.${after.state}`,
      `job/${after.id}`,
      `${after.state}${where}${attempt}${why}`,
    );
  }

  #world(): JobWorld {
    const { state, seen, parts } = this.#context;
    const find = (id: ApplianceId): EnsembleRecord | undefined =>
      state.ensemble(id.slice(0, id.indexOf("/")));
    return {
      nowMs: parts.clock.now(),
      appliance: (id) => {
        const record = find(id);
        if (record === undefined || record.state === "removing") return undefined;
        return this.#appliance(record, id);
      },
      mayBeOn: (id, host) => {
        if (!state.hosts().has(host)) return false;
        const record = find(id);
        if (record === undefined) return false;
        return placesOf(record, id).includes(host) || record.leaving[id]?.includes(host) === true;
      },
      report: (host, id, attempt) =>
        seen.report(host)?.jobs?.find((one) => one.id === id && one.attempt === attempt),
    };
  }

  #appliance(record: EnsembleRecord, id: ApplianceId): JobAppliance | undefined {
    const declared = appliancesOf(record.ensemble).find((one) => one.id === id);
    if (declared === undefined) return undefined;
    const { kind } = declared.spec;
    const host = ownerOf(record, id);
    if (host === undefined) return { kind };
    const seen = this.#context.seen.freshReport(host)?.appliances.find((one) => one.id === id);
    if (seen === undefined) return { kind, host };
    return { kind, host, state: seen.state, isSilent: seen.vm?.agent === "silent" };
  }

  /** Makes machines for those who bring their own, and removes them afterwards. */
  async run(signal: AbortSignal): Promise<void> {
    const { parts, term } = this.#context;
    for (;;) {
      await this.#wake.wait(limits.heartbeatMs, signal);
      if (term.supersededBy !== undefined) return;
      // Those that are there now: a map that changes meanwhile shows what comes, too.
      const records = [...this.#context.state.jobs().values()];
      for (const record of records) {
        if (record.job.runsIn.kind !== "machine") continue;
        try {
          await this.#provide(record, signal);
        } catch (cause) {
          signal.throwIfAborted();
          parts.log.warn(`Cannot provide for ${record.id}: ${messageOf(cause)}`, { cause });
        }
      }
    }
  }

  async #provide(record: JobRecord, signal: AbortSignal): Promise<void> {
    const { id, job, state, cancelled } = record;
    const name = machineEnsembleOf(id);
    const ensemble = this.#context.state.ensemble(name);
    if (isOver(state)) {
      this.#later.delete(id);
      if (ensemble?.state === "present") await this.#changes.down(name);
      return;
    }
    const { clock } = this.#context.parts;
    if (ensemble !== undefined || cancelled === true || state !== "queued") return;
    if ((this.#later.get(id) ?? 0) > clock.monotonic() || job.runsIn.kind !== "machine") return;
    try {
      await this.#changes.up(machineEnsemble(name, id, job.runsIn.machine), signal);
      this.#later.delete(id);
    } catch (cause) {
      signal.throwIfAborted();
      this.#later.set(id, clock.monotonic() + limits.recoveryRetryMs);
      await this.#note(id, `waits for ${applianceOf(record)}: ${messageOf(cause)}`, signal);
    }
  }

  async #note(id: string, message: string, signal: AbortSignal): Promise<void> {
    const { state } = this.#context;
    await state.change(() => {
      const record = state.jobs().get(id);
      if (record?.state !== "queued" || record.message === message) return { writes: [], result: undefined };
      return { writes: [{ put: keys.job(id), value: { ...record, message } }], result: undefined };
    }, signal);
  }
}

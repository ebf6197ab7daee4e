import { join } from "node:path";
import { KeptRecord } from "#drivers/appliance/kept-record.ts";
import { ConsortError, codeOf, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { SlotFacts } from "#drivers/appliance/task/extras.ts";
import { PortAgent } from "./agent.ts";
import { AgentLooks } from "./agent-looks.ts";
import { BootWatch } from "./boot-watch.ts";
import { insideDirectory, socketNames } from "./command/spec.ts";
import { GuestConsole } from "./console.ts";
import { ContextLine } from "./context-line.ts";
import { Creation } from "./creation.ts";
import { describe, isOver } from "./describe.ts";
import type { GuestWords } from "./describe.ts";
import { afterEvent, beforeGuest, panicOn, qemuWords } from "./guest-state.ts";
import type { GuestState } from "./guest-state.ts";
import { oneMoreRefusal, Patience } from "./patience.ts";
import type { MachinePlace } from "./place.ts";
import { isJson } from "./guest-json.ts";
import { abortable } from "./qmp.ts";
import { reachQmp } from "./reach.ts";
import { arrivalOf, writeMachineRecord } from "./record.ts";
import type { MachineRecord } from "./record.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { limitDisks } from "./resize/disk-limits.ts";
import type { StartWay } from "./starter.ts";
import type { Qmp, QmpEvent, RunningVm } from "./vm.ts";

/** A QEMU that is held (fenced, suspended) takes connections but greets nobody, and does not say how it stands. */
const answerMsMax = millis(5_000);
const outputTailBytes = 16_384;

export type MachineParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly slot: (id: ApplianceId) => SlotFacts | undefined;
  readonly readOutput: (id: ApplianceId, bytesMax: number, signal: AbortSignal) => Promise<string>;
  readonly run: (id: ApplianceId, ...args: Parameters<RunningVm["run"]>) => ReturnType<RunningVm["run"]>;
  /** It has left for another host, or has not arrived yet: its mover's to let it go on. */
  readonly isElsewhere: (id: ApplianceId) => boolean;
  /** It is suspended to disk, or about to be: it goes on when it is released, and not because its QEMU began again. */
  readonly standsStill: (id: ApplianceId) => boolean;
  /** Its guest did not come to run: end the run, so that another attempt can be made. */
  readonly giveUp: (machine: Machine) => void;
  /** Its guest runs now. */
  readonly onUp: (machine: Machine) => void;
  /** Its agent answers, after it did not or its guest began anew. */
  readonly onAgent: (machine: Machine) => void;
  readonly onChange: () => void;
  /** How long its QEMU may take for a greeting, and for how it stands. */
  readonly answerMsMax?: Millis;
};

/**
 * The live side of one machine: the lines to its QEMU and its guest's agent, and what they tell. Each run of its slot,
 * whoever began it, goes the same way:
 *
 *   slot runs ─► QEMU answers ─┬─ waits ─► boot: cont | another way: its bringUp ─┬─► guest runs: up
 *                              └─ runs already (a manager was restarted) ─────────┘
 */
export class Machine {
  readonly id: ApplianceId;
  readonly place: MachinePlace;
  readonly agent: PortAgent;
  readonly console: GuestConsole;
  readonly creation: Creation;
  readonly #parts: MachineParts;
  readonly #kept: KeptRecord<MachineRecord>;
  #qmp: Qmp | undefined;
  /** Of the run that what follows belongs to. */
  #run = 0;
  #guest: GuestState = beforeGuest;
  #boot = new BootWatch();
  #output = "";
  readonly #line: ContextLine;
  #told: GuestWords = {};
  #bringing: Promise<void> | undefined;
  /** It is being ended, whatever its guest comes to. */
  #isGivenUp = false;
  readonly #agentLooks: AgentLooks;
  readonly #closing = new AbortController();
  readonly #answerMsMax: Millis;
  readonly #patience: Patience;
  /** For the next run, if it is not to boot. */
  way: StartWay | undefined;
  /** Why its guest does not run yet, for people. */
  problem: string | undefined;
  /** How its last attempt to come up failed, until one does not. */
  #whyDown: string | undefined;

  constructor(place: MachinePlace, record: MachineRecord, parts: MachineParts) {
    this.id = record.plan.id;
    this.place = place;
    this.#kept = new KeptRecord(record, {
      id: record.plan.id,
      write: (one) => writeMachineRecord(place.outer, one),
      log: parts.log,
    });
    this.#parts = parts;
    this.creation = new Creation(parts.clock, record.stages);
    this.#patience = new Patience(parts.clock);
    this.#answerMsMax = parts.answerMsMax ?? answerMsMax;
    this.#line = new ContextLine(place.directory, (message) => {
      if (message.kind === "hello") return;
      this.#told =
        message.kind === "exited"
          ? { ...this.#told, exitCode: message.code }
          : { ...this.#told, context: message.kind };
      this.#parts.onChange();
    });
    this.agent = new PortAgent(join(place.directory, socketNames.agent), parts.clock);
    const news = {
      greeted: () => parts.onAgent(this),
      answers: () => {
        this.#boot.lives();
        this.#isCreated();
      },
      changed: () => parts.onChange(),
    };
    this.#agentLooks = new AgentLooks(this.agent, news, this.closing);
    this.console = new GuestConsole(join(place.directory, socketNames.console));
  }

  get record(): MachineRecord {
    return this.#kept.now;
  }

  get guest(): GuestState {
    return this.#guest;
  }

  /** Number of the run that this is. */
  get run(): number {
    return this.#run;
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Writes down first; what follows from it is done after. Throws `unavailable` where that cannot be. */
  save(change: Partial<MachineRecord>): void {
    this.#kept.save(change);
  }

  /** Of what has happened already. Never throws. */
  note(change: Partial<MachineRecord>): void {
    this.#kept.note(change);
  }

  /** Reads how its slot stands, and listens to a run that has begun. Harmless at any time. */
  look(): void {
    const slot = this.#parts.slot(this.id);
    if (slot === undefined || this.#closing.signal.aborted) return;
    if (this.#unreached() !== undefined) this.#bringing ??= this.#bringUpAll();
    if (isOver(slot.state) && this.#output === "") void this.#readOutput();
  }

  /** Number of the run whose QEMU nobody listens to; undefined: none goes on, or there is a line to it. */
  #unreached(): number | undefined {
    const slot = this.#parts.slot(this.id);
    if (slot === undefined || this.#closing.signal.aborted) return undefined;
    if (slot.run !== this.#run) this.#forget(slot.run);
    return slot.state === "running" && this.#qmp === undefined ? slot.run : undefined;
  }

  /**
   * Run after run: who waits for one that has ended may see that only when the next one goes on already, of which nobody
   * tells any more.
   */
  async #bringUpAll(): Promise<void> {
    for (let run = this.#unreached(); run !== undefined; run = this.#unreached()) await this.#bringUp(run);
    this.#bringing = undefined;
    // It may have gone on while it was being looked at, and what was told then counted for nothing.
    if (this.#qmp !== undefined) this.#noteUp();
  }

  /** Resolves when its guest runs, or arrives. Rejects with `unavailable` and QEMU's own words when it does not come to that. */
  async up(signal: AbortSignal): Promise<void> {
    this.look();
    await abortable(this.#bringing ?? Promise.resolve(), signal);
    if (this.problem !== undefined) throw new ConsortError("unavailable", this.problem);
    if (this.#qmp !== undefined) return;
    await this.#readOutput();
    const words = qemuWords(this.#output) ?? "it ended before it answered";
    throw new ConsortError("unavailable", `Cannot start ${this.id}: ${words}`);
  }

  /** Rejects with `unavailable` while it is too early for another attempt. */
  checkRest(): void {
    const restMs = this.#patience.restMs();
    if (restMs === 0) return;
    const why = this.#whyDown ?? "it did not come up";
    throw new ConsortError("unavailable", `Cannot start ${this.id}: ${why}; it is tried again soon`);
  }

  /** It could not be begun: what it is to begin from could not be had, or not be given to its QEMU. */
  noteRefusal(by: Parameters<typeof oneMoreRefusal>[2], cause: unknown): void {
    const refused = oneMoreRefusal(this.record.plan, this.record.refused, by, messageOf(cause));
    if (refused !== undefined) this.note({ refused });
    this.#whyDown = messageOf(cause);
    this.#patience.failed();
    this.#parts.onChange();
  }

  /** Whether its agent answers; never rejects. */
  lookAtAgent(): Promise<void> {
    return this.#agentLooks.look();
  }

  #isCreated(): void {
    if (this.creation.end("guest answers")) this.note({ stages: this.creation.stages });
    this.creation.over();
  }

  /** From time to time: asks its agent, and resets a guest that does not come to boot. Never rejects. */
  async watch(): Promise<void> {
    this.#kept.catchUp();
    const vm = this.running();
    if (vm === undefined || this.#guest.status !== "running") return;
    const expectsAgent = this.record.plan.vm.base.features.includes("agent");
    if (this.agent.expected || expectsAgent) await this.lookAtAgent();
    if (!expectsAgent || !this.#boot.look(millis(vm.cgroup.cpuUsedUs() / 1000))) return;
    this.#parts.log.warn(`${this.id} does not come to boot and is reset`, { resets: this.#boot.resets });
    await vm.qmp.execute("system_reset", {}, this.#closing.signal).catch(() => {});
  }

  /** Undefined unless its QEMU answers. */
  running(): RunningVm | undefined {
    const slot = this.#parts.slot(this.id);
    const [qmp, { id, agent }] = [this.#qmp, this];
    if (slot === undefined || qmp === undefined || qmp.closed.aborted) return undefined;
    const writable = (this.record.disks ?? []).filter(({ readOnly }) => !readOnly);
    return {
      id,
      plan: this.record.plan,
      directory: this.place.directory,
      inside: insideDirectory,
      netns: slot.netns,
      cgroup: slot.cgroup,
      disks: writable.map(({ name, layers: [top, ...below] }) => ({
        name,
        file: top?.file ?? "",
        below: below.map(({ file }) => file),
      })),
      qmp,
      agent,
      run: (command, signal) => this.#parts.run(id, command, signal),
    };
  }

  describe(
    slot: ApplianceObservation,
    move: MoveReport | undefined,
    isElsewhere: boolean,
  ): ApplianceObservation {
    return describe(slot, {
      move,
      isElsewhere,
      record: this.record,
      run: this.#run,
      guest: this.#guest,
      agent: this.agent,
      output: this.#output,
      told: this.#told,
      problem: this.problem,
    });
  }

  close(): void {
    this.#closing.abort();
    this.#hangUp();
    this.agent.close();
    this.console.close();
  }

  #forget(run: number): void {
    if (this.record.run !== undefined) this.creation.over();
    this.#run = run;
    this.#guest = beforeGuest;
    this.#boot = new BootWatch();
    this.#output = "";
    this.#told = {};
    this.problem = undefined;
    this.#isGivenUp = false;
    this.#hangUp();
    this.agent.forget();
    this.#agentLooks.forget();
  }

  #hangUp(): void {
    this.#qmp?.close();
    this.#qmp = undefined;
    this.agent.hangUp();
    this.#line.hangUp();
  }

  /** Until its guest runs or its run is over; never rejects. */
  async #bringUp(run: number): Promise<void> {
    const { signal } = this.#closing;
    try {
      const qmp = await this.#reach(run);
      if (qmp === undefined) return;
      this.#parts.onChange();
      const way = this.way;
      this.way = undefined;
      if (way === undefined) this.creation.end("QEMU started");
      const cutOff = this.#cutOff(run);
      if (this.#guest.status === "running") return cutOff === "warm" ? this.#giveUp() : this.#isUp(run);
      await this.#limitDisks();
      if (way !== undefined) return await this.#goOn(run, way);
      // One that arrives is its mover's to go on with.
      if (cutOff !== undefined) return cutOff === "arriving" ? undefined : this.#giveUp();
      if (this.#parts.isElsewhere(this.id) || this.#parts.standsStill(this.id)) return;
      // It waits for a state that nobody is left to give it: a manager, or a QEMU before it, ended too early.
      if (this.#guest.status === "inmigrate") return this.#giveUp();
      if (this.#guest.status !== "prelaunch") return this.#isUp(run);
      await qmp.execute("cont", {}, signal);
      await this.#askStatus(qmp);
      this.creation.end("guest begun");
      this.#isUp(run);
    } catch (cause) {
      if (signal.aborted) return;
      if (codeOf(cause) !== "unavailable") return this.#failed(cause);
      // One that was held, and did not answer, is reached anew when it goes on: nobody else would bring it up.
      this.#qmp?.close();
    }
  }

  /** A manager before this one ended in the middle of another way for it to run: which, and what that leaves. */
  #cutOff(run: number): "arriving" | "restored" | "warm" | undefined {
    const { plan, run: begun } = this.record;
    if (begun?.number !== run || begun.way !== "other" || begun.up) return undefined;
    if (plan.vm.move?.side === "arriving") return "arriving";
    // That it goes on is the last of it; who goes on from a snapshot has yet to take on who it is.
    return plan.vm.restore === undefined ? "warm" : "restored";
  }

  /** Before its guest can use them. */
  async #limitDisks(): Promise<void> {
    const vm = this.running();
    const { disk } = this.record.plan.vm;
    if (vm !== undefined && disk !== undefined) await limitDisks(vm, disk, this.#closing.signal);
  }

  async #goOn(run: number, way: StartWay): Promise<void> {
    const vm = this.running();
    if (vm === undefined) return;
    this.save({ run: { number: run, way: "other", up: false } });
    try {
      await way.bringUp(vm, this.#closing.signal);
    } catch (cause) {
      if (!this.#closing.signal.aborted) this.#failed(cause);
      return;
    }
    await this.#askStatus(vm.qmp);
    if (this.#guest.status === "running") {
      for (const { stage, tookMs } of way.stages ?? []) this.creation.add(stage, tookMs);
      this.note({ start: way.start, stages: this.creation.stages });
      this.#isUp(run);
    }
  }

  #failed(cause: unknown): void {
    this.problem = messageOf(cause);
    this.#parts.log.warn(`Cannot bring up ${this.id}: ${this.problem}`, { cause });
    this.noteRefusal("memory", cause);
    this.#giveUp();
  }

  #giveUp(): void {
    this.#isGivenUp = true;
    this.#parts.giveUp(this);
  }

  /** Undefined: the run was over before its QEMU answered. */
  #reach(run: number): Promise<Qmp | undefined> {
    const { clock, slot } = this.#parts;
    const reaching = {
      path: join(this.place.directory, socketNames.qmp),
      greetingMsMax: this.#answerMsMax,
      goesOn: () => slot(this.id)?.run === run && slot(this.id)?.state === "running",
      listen: (qmp: Qmp) => this.#listen(qmp),
    };
    return reachQmp(reaching, clock, this.#closing.signal);
  }

  /** False: it was gone before it said how it stands. */
  async #listen(qmp: Qmp): Promise<boolean> {
    // Heard from before it is asked, so that nothing falls between.
    qmp.onEvent((event) => this.#heard(event));
    try {
      await this.#askStatus(qmp);
    } catch {
      qmp.close();
      return false;
    }
    this.#qmp = qmp;
    qmp.closed.addEventListener("abort", () => {
      if (this.#qmp !== qmp) return;
      this.#qmp = undefined;
      this.look();
      this.#parts.onChange();
    });
    return true;
  }

  /** Rejects with `unavailable` when it does not say. */
  async #askStatus(qmp: Qmp): Promise<void> {
    for (;;) {
      const before = this.#guest;
      const limit = AbortSignal.timeout(this.#answerMsMax);
      const asked = qmp.execute("query-status", {}, AbortSignal.any([this.#closing.signal, limit]));
      const answer = await asked.catch((cause: unknown) => {
        if (!limit.aborted) throw cause;
        throw new ConsortError("unavailable", `Cannot ask how ${this.id} stands: its QEMU does not answer`);
      });
      // What it has told meanwhile may be newer than its answer.
      if (this.#guest !== before) continue;
      this.#guest = { ...before, status: isJson(answer) ? String(answer["status"]) : "unknown" };
      return;
    }
  }

  #heard(event: QmpEvent): void {
    if (event.event === "VSERPORT_CHANGE" && event.data["open"] === true) this.#boot.lives();
    if (event.event === "VSERPORT_CHANGE" && event.data["id"] === "port-agent") {
      this.agent.hangUp();
      if (event.data["open"] === true) this.#greetAgent();
    }
    const before = this.#guest;
    this.#guest = afterEvent(before, event);
    if (this.#guest === before) return;
    if (this.#guest.resets > before.resets) void this.#afterReset();
    this.#noteUp();
    this.#parts.onChange();
  }

  /** Also one that others let go on. Who brings it up has to be done with that. */
  #noteUp(): void {
    if (this.#guest.status !== "running" || this.#bringing !== undefined || this.#isGivenUp) return;
    const { run } = this.record;
    if (run?.number !== this.#run || !run.up) this.#isUp(this.#run);
  }

  #isUp(run: number): void {
    this.problem = undefined;
    this.#whyDown = undefined;
    this.#patience.isUp();
    const way = this.record.run?.number === run ? this.record.run.way : "boot";
    if (this.record.run?.number !== run || !this.record.run.up)
      this.note({
        run: { number: run, way, up: true },
        stages: this.creation.stages,
        refused: undefined,
        ...(this.#cutOff(run) === "restored" ? { start: "restored" as const } : {}),
        ...(way === "other" ? arrivalOf(this.record.plan.vm, run) : {}),
      });
    try {
      this.#parts.onUp(this);
    } catch (cause) {
      // QEMU is heard here, and whoever broke out of its guest may be in the way of files: that ends nobody's manager.
      this.#parts.log.warn(`Cannot make ${this.id} ready for its next run: ${messageOf(cause)}`, { cause });
    }
    this.#parts.onChange();
    const { features } = this.record.plan.vm.base;
    if (features.includes("context")) this.#line.listen();
    if (features.includes("agent")) this.#greetAgent();
  }

  #greetAgent(): void {
    this.#agentLooks.forget();
    void this.lookAtAgent();
  }

  /** A machine without a panic device tells of a panic on its console alone, and resets. */
  async #afterReset(): Promise<void> {
    this.agent.hangUp();
    const panic = panicOn(await this.#readTail());
    if (panic === undefined || this.#closing.signal.aborted) return;
    this.#guest = { ...this.#guest, panic };
    if (this.record.plan.restart.when === "never") {
      this.note({ verdict: { run: this.#run, message: `Its guest panicked: ${panic}` } });
      this.#qmp?.execute("quit", {}, this.#closing.signal).catch(() => {});
    }
    this.#parts.onChange();
  }

  async #readOutput(): Promise<void> {
    this.#output = await this.#readTail();
    if (this.#output !== "") this.#parts.onChange();
  }

  async #readTail(): Promise<string> {
    try {
      return await this.#parts.readOutput(this.id, outputTailBytes, this.#closing.signal);
    } catch (cause) {
      this.#parts.log.debug(`Cannot read the output of ${this.id}: ${messageOf(cause)}`);
      return "";
    }
  }
}

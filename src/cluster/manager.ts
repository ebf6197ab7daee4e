import { ConsortError } from "#base/errors.ts";
import type { HostId, OperationId } from "#base/ids.ts";
import { renewed } from "#cluster/adjusting.ts";
import type { ResizeRequest } from "#cluster/adjusting.ts";
import { mappingProblem, planResult } from "#cluster/admission.ts";
import { Changes, knownEnsemble } from "#cluster/changes.ts";
import { progressOf, takeCharge } from "#cluster/charge.ts";
import type { Charge } from "#cluster/charge.ts";
import { checkpointViews, requestCheckpoints } from "#cluster/checkpoint-requests.ts";
import { ClusterJobs } from "#cluster/cluster-jobs.ts";
import { ClusterContext } from "#cluster/context.ts";
import type { ClusterManagerParts } from "#cluster/context.ts";
import { explanationOf, placementReasons } from "#cluster/explanation.ts";
import {
  collectContent,
  discoverImages,
  imageView,
  imageViews,
  isNamedByImport,
  knownImage,
  registerImage,
  removeImage,
  uploadPart,
} from "#cluster/image-requests.ts";
import { checkSecretIsNamed } from "#cluster/job-requests.ts";
import { cordonHost, drainHost, forgetHost, uncordonHost } from "#cluster/maintenance.ts";
import type { ForgetRequest } from "#cluster/maintenance.ts";
import type { MigrateRequest } from "#cluster/migrating.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { relayConsole, relayExec, relayLog } from "#cluster/relay.ts";
import { Rounds } from "#cluster/rounds.ts";
import type { ClusterService } from "#cluster/service.ts";
import { snapshotOf } from "#cluster/snapshot.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { ensembleView, hostViews } from "#cluster/views.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { ImageSpec } from "#model/image.ts";
import type { Heartbeat, HostReport, Measurements } from "#protocol/host-report.ts";
import type { Checkpoints } from "#protocol/http/checkpoint.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation, PlanResult } from "#protocol/http/plan.ts";
import type { EnsembleStatus, Event, HostStatus } from "#protocol/http/status.ts";
import { consoleRooms, hostAddress, topics } from "#protocol/topics.ts";
import type { CollectResult, SecretBody, SecretResult, UploadBody, UploadResult } from "#protocol/topics.ts";

export type { ClusterManagerParts } from "#cluster/context.ts";

/** Nobody guesses it: who knows it may type. */
const consoleSessionBytes = 16;

/**
 * Keeps the cloud as its users declared it.
 *
 *   up ──► map ──► allocate ──► commit (durable) ──► acknowledge
 *                                  │
 *     reconcile: desired state ──► host plans ──► hosts ──► reports ──► operations end, records of what is gone go
 *                     ▲                                        │
 *                     └── place anew what lost its host ◄──────┴──► leases: what may go on running there
 *
 * Everything desired is in the store; everything observed comes again from the hosts. A restart at any line
 * therefore needs no repair: it loads, raises the epoch, and reconciles.
 */
export class ClusterManager implements ClusterService {
  readonly jobs: ClusterJobs;
  readonly #parts: ClusterManagerParts;
  #charge: Charge | undefined;
  #life: AbortSignal = AbortSignal.abort(
    new ConsortError("unavailable", "Cannot answer yet: the cluster manager is starting"),
  );

  constructor(parts: ClusterManagerParts) {
    this.#parts = parts;
    this.jobs = new ClusterJobs(() => this.#inCharge(), parts.secrets);
  }

  /** Loads what is desired and takes a new epoch; the service answers from then on. */
  async start(signal: AbortSignal): Promise<void> {
    const { messaging, log } = this.#parts;
    this.#charge = await takeCharge(this.#parts, signal);
    this.#life = signal;
    const { context } = this.#charge;
    messaging.answer(topics.report, async ({ body }) => this.#inCharge().hearing.report(body as HostReport));
    messaging.answer(topics.heartbeat, async ({ body }) =>
      this.#inCharge().hearing.heartbeat(body as Heartbeat),
    );
    messaging.answer(topics.measurements, ({ body }) => {
      this.#inCharge().strategies.hear(body as Measurements);
      return Promise.resolve({});
    });
    messaging.answer(topics.secret, async ({ from, body }): Promise<SecretResult> => {
      const asked = body as SecretBody;
      if (from !== hostAddress(asked.host))
        throw new ConsortError(
          "forbidden",
          `Cannot tell ${from} a secret: it asks for ${asked.host}, not for itself`,
        );
      if (!isNamedByImport(context, asked)) checkSecretIsNamed(context, asked);
      return { fields: await this.jobs.secret(asked.name, signal) };
    });
    messaging.onPresence(({ address, present }) => {
      context.events.append(
        present ? "host.connected" : "host.disconnected",
        address,
        present ? "is there" : "left",
      );
      context.wake.now();
    });
    context.events.append(
      "cluster.started",
      "cluster",
      `the cluster manager started, in epoch ${context.term.epoch}`,
    );
    log.info("Cluster manager ready", {
      epoch: context.term.epoch,
      ensembles: context.state.ensembles().length,
    });
  }

  /** Reconciles until the signal aborts. Throws `unavailable` when hosts obey a later cluster manager. */
  async run(signal: AbortSignal): Promise<void> {
    await new Rounds(this.#parts, () => this.#inCharge()).run(signal);
  }

  async up(ensemble: Ensemble, signal: AbortSignal): Promise<Operation> {
    return this.#changes().up(ensemble, signal);
  }

  async down(name: string, _signal: AbortSignal): Promise<Operation> {
    return this.#changes().down(name);
  }

  async resize(name: string, request: ResizeRequest, _signal: AbortSignal): Promise<Operation> {
    return this.#changes().resize(name, request);
  }

  async suspend(name: string, appliances: readonly string[], _signal: AbortSignal): Promise<Operation> {
    return this.#changes().suspend(name, appliances);
  }

  async suspendToDisk(name: string, appliances: readonly string[], _signal: AbortSignal): Promise<Operation> {
    return this.#changes().park(name, appliances);
  }

  async migrate(name: string, request: MigrateRequest, signal: AbortSignal): Promise<Operation> {
    return this.#changes().migrate(name, request, signal);
  }

  async resume(name: string, appliances: readonly string[], signal: AbortSignal): Promise<Operation> {
    return this.#changes().resume(name, { appliances }, signal);
  }

  async resumeOn(
    ...[name, to, appliances, signal]: Parameters<ClusterService["resumeOn"]>
  ): Promise<Operation> {
    return this.#changes().resume(name, { appliances, to }, signal);
  }

  async plan(declared: Ensemble, signal: AbortSignal): Promise<PlanResult> {
    const { context } = this.#inCharge();
    const ensemble = renewed(context.state.ensemble(declared.name)?.ensemble, declared);
    const facts = context.facts();
    const problem = mappingProblem(ensemble, facts);
    const mapping = await this.#parts.solve(problem, signal);
    const before = context.state.ensemble(ensemble.name);
    const reasons = placementReasons(problem, mapping);
    return planResult({ ensemble, before, mapping, reasons, image: facts.image });
  }

  explain(name: string, _signal: AbortSignal): Promise<Explanation> {
    const record = this.#known(name);
    const { context } = this.#inCharge();
    return Promise.resolve(explanationOf(record, mappingProblem(record.ensemble, context.facts())));
  }

  declared(name: string, _signal: AbortSignal): Promise<Ensemble> {
    return Promise.resolve(this.#known(name).ensemble);
  }

  ensembles(_signal: AbortSignal): Promise<EnsembleStatus[]> {
    const { context } = this.#inCharge();
    const sources = this.#sources();
    return Promise.resolve(context.state.ensembles().map((record) => this.#view(record, sources)));
  }

  ensemble(name: string, _signal: AbortSignal): Promise<EnsembleStatus> {
    return Promise.resolve(this.#view(this.#known(name)));
  }

  hosts(_signal: AbortSignal): Promise<HostStatus[]> {
    return Promise.resolve(hostViews(this.#sources()));
  }

  cordon(host: string, signal: AbortSignal): Promise<HostStatus> {
    return this.#admitInTurn(async (context) => {
      await cordonHost(context, this.#knownHost(host), signal);
      return this.#hostView(host);
    });
  }

  uncordon(host: string, signal: AbortSignal): Promise<HostStatus> {
    return this.#admitInTurn(async (context) => {
      await uncordonHost(context, this.#knownHost(host), signal);
      return this.#hostView(host);
    });
  }

  drain(host: string, signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn((context) => drainHost(context, this.#knownHost(host), signal));
  }

  forget(host: string, request: ForgetRequest, signal: AbortSignal): Promise<void> {
    return this.#admitInTurn((context) => forgetHost(context, this.#knownHost(host), request, signal));
  }

  snapshot(_signal: AbortSignal): Promise<CloudSnapshot> {
    const { context } = this.#inCharge();
    return Promise.resolve(snapshotOf(context));
  }

  operations(_signal: AbortSignal): Promise<Operation[]> {
    return Promise.resolve(this.#inCharge().context.operations.list());
  }

  operation(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return Promise.resolve(this.#inCharge().context.operations.get(id));
  }

  async cancel(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return this.#changes().cancel(id);
  }

  events(afterCursor: number, signal: AbortSignal): AsyncIterable<Event> {
    return this.#inCharge().context.events.read(afterCursor, AbortSignal.any([signal, this.#life]));
  }

  lastCursor(): number {
    return this.#inCharge().context.events.lastCursor();
  }

  images(_signal: AbortSignal): Promise<ImageStatus[]> {
    return Promise.resolve(imageViews(this.#inCharge().context));
  }

  image(name: string, _signal: AbortSignal): Promise<ImageStatus> {
    const { context } = this.#inCharge();
    return Promise.resolve(imageView(context, knownImage(context, name)));
  }

  registerImage(image: ImageSpec, signal: AbortSignal): Promise<ImageStatus> {
    return registerImage(this.#inCharge().context, image, signal);
  }

  removeImage(name: string, signal: AbortSignal): Promise<void> {
    return this.#admitInTurn((context) => removeImage(context, name, signal));
  }

  uploadPart(part: UploadBody, signal: AbortSignal): Promise<UploadResult> {
    return uploadPart(this.#inCharge().context, part, signal);
  }

  discoverImages(
    at: { readonly url: string; readonly credentials?: string | undefined },
    signal: AbortSignal,
  ): Promise<readonly ImageSpec[]> {
    return discoverImages(this.#inCharge().context, at, signal);
  }

  collectContent(signal: AbortSignal): Promise<CollectResult> {
    return collectContent(this.#inCharge().context, signal);
  }

  exec(
    ...[ensemble, appliance, request, onOutput, signal]: Parameters<ClusterService["exec"]>
  ): Promise<number> {
    const record = this.#known(ensemble);
    return relayExec(this.#parts, record, appliance, request, onOutput, signal);
  }

  console(
    ...[ensemble, appliance, { onOpen, onOutput }, signal]: Parameters<ClusterService["console"]>
  ): Promise<void> {
    const record = this.#known(ensemble);
    const session = this.#parts.random.hex(consoleSessionBytes);
    const open = relayConsole(this.#parts.messaging, record, appliance, { session, onOutput }, signal);
    onOpen(session);
    return open;
  }

  typeIntoConsole(session: string, chunk: Uint8Array): void {
    const dataBase64 = Buffer.from(chunk).toString("base64");
    this.#parts.messaging.publish(consoleRooms(session).input, { dataBase64 });
  }

  log(ensemble: string, appliance: string, maxBytes: number, signal: AbortSignal): Promise<string> {
    return relayLog(this.#parts.messaging, this.#known(ensemble), appliance, maxBytes, signal);
  }

  takeCheckpoints(
    ...[name, wish, signal]: Parameters<ClusterService["takeCheckpoints"]>
  ): ReturnType<ClusterService["takeCheckpoints"]> {
    return requestCheckpoints(this.#inCharge().context, name, wish, signal);
  }

  async checkpoints(name: string, _signal: AbortSignal): Promise<Checkpoints> {
    const { context } = this.#inCharge();
    return checkpointViews(context, name);
  }

  async restore(name: string, from: Parameters<ClusterService["restore"]>[1]): Promise<Operation> {
    return this.#changes().restore(name, from);
  }

  async #admitInTurn<Result>(work: (context: ClusterContext) => Promise<Result>): Promise<Result> {
    return this.#changes().admitInTurn(work);
  }

  /** Throws `unavailable` while it starts, and once another cluster manager has taken over. */
  #inCharge(): Charge {
    if (this.#charge === undefined) {
      this.#life.throwIfAborted();
      throw new ConsortError("unavailable", "Cannot answer yet: the cluster manager is starting");
    }
    this.#charge.context.checkInCharge();
    return this.#charge;
  }

  #changes(): Changes {
    return this.#inCharge().changes;
  }

  #known(name: string): EnsembleRecord {
    return knownEnsemble(this.#inCharge().context, name);
  }

  #knownHost(name: string): HostId {
    const id = name as HostId;
    if (!this.#inCharge().context.state.hosts().has(id)) {
      throw new ConsortError("not_found", `Cannot find host "${name}": no such host is known`);
    }
    return id;
  }

  #hostView(id: string): HostStatus {
    const view = hostViews(this.#sources()).find((one) => one.id === id);
    if (view === undefined) throw new ConsortError("not_found", `Cannot find host "${id}": it was forgotten`);
    return view;
  }

  #sources(): Parameters<typeof ensembleView>[2] {
    const { state, seen, parts } = this.#inCharge().context;
    return {
      ensembles: state.ensembles(),
      hosts: state.hosts(),
      topology: parts.topology,
      seen,
      standing: (host) => state.standing(host),
    };
  }

  #view(record: EnsembleRecord, sources = this.#sources()): EnsembleStatus {
    const { strategies } = this.#inCharge();
    return {
      ...ensembleView(record, progressOf(this.#inCharge(), record), sources),
      ...strategies.statusOf(record),
    };
  }
}

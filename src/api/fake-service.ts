import { ConsortError } from "#base/errors.ts";
import { FakeJobs } from "#api/fake-jobs.ts";
import type { OperationId } from "#base/ids.ts";
import type { CheckpointWish } from "#cluster/checkpoint-requests.ts";
import type { MigrateRequest } from "#cluster/migrating.ts";
import type { ResizeRequest } from "#cluster/adjusting.ts";
import type { ClusterService } from "#cluster/service.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Digest, ImageSpec } from "#model/image.ts";
import type { Checkpoints, CheckpointRequestStatus, CheckpointStatus } from "#protocol/http/checkpoint.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation, PlanResult } from "#protocol/http/plan.ts";
import type { EnsembleStatus, Event, HostStatus } from "#protocol/http/status.ts";
import type { CollectResult, UploadBody, UploadResult } from "#protocol/topics.ts";

type Exec = Parameters<ClusterService["exec"]>;

/** A cluster manager in memory that places nothing: for tests of what is on top of it. */
export class FakeService implements ClusterService {
  #typed: (chunk: Uint8Array) => void = () => {};
  readonly declaredEnsembles = new Map<string, Ensemble>();
  hostList: HostStatus[] = [];
  /** Changes of what runs, as they were asked for. */
  readonly asked: unknown[] = [];
  /** The oldest event kept has the cursor after this. */
  forgottenCursor = 0;
  /** What `exec` does; tests replace it. */
  onExec: (...call: Exec) => Promise<number> = async () => 0;
  readonly checkpointRequests: CheckpointRequestStatus[] = [];
  readonly taken: CheckpointStatus[] = [];
  readonly jobs = new FakeJobs();
  readonly #operations = new Map<string, Operation>();
  readonly #events: Event[] = [];
  #wake = Promise.withResolvers<void>();

  async up(ensemble: Ensemble): Promise<Operation> {
    this.declaredEnsembles.set(ensemble.name, ensemble);
    return this.#begin({ kind: "up", ensemble: ensemble.name });
  }

  async down(name: string): Promise<Operation> {
    this.#find(name);
    this.declaredEnsembles.delete(name);
    return this.#begin({ kind: "down", ensemble: name });
  }

  async resize(name: string, request: ResizeRequest): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "resize", name, request });
    return this.#begin({ kind: "resize", ensemble: name });
  }

  async migrate(name: string, request: MigrateRequest): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "migrate", name, request });
    return this.#begin({ kind: "migrate", ensemble: name });
  }

  async suspend(name: string, appliances: readonly string[]): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "suspend", name, appliances });
    return this.#begin({ kind: "suspend", ensemble: name });
  }

  async suspendToDisk(name: string, appliances: readonly string[]): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "suspend to disk", name, appliances });
    return this.#begin({ kind: "suspend", ensemble: name });
  }

  async resumeOn(name: string, host: string, appliances: readonly string[]): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "resume", name, host, appliances });
    return this.#begin({ kind: "resume", ensemble: name });
  }

  async resume(name: string, appliances: readonly string[]): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "resume", name, appliances });
    return this.#begin({ kind: "resume", ensemble: name });
  }

  async plan(ensemble: Ensemble): Promise<PlanResult> {
    const changes = ensemble.appliances.map(({ name }) => ({
      action: "create" as const,
      subject: name,
      detail: "new",
    }));
    return { ensemble: ensemble.name, satisfiable: true, changes, placements: [], links: [], refusals: [] };
  }

  async explain(name: string): Promise<Explanation> {
    this.#find(name);
    return { ensemble: name, appliances: [], links: [] };
  }

  async declared(name: string): Promise<Ensemble> {
    return this.#find(name);
  }

  async ensembles(): Promise<EnsembleStatus[]> {
    return [...this.declaredEnsembles.values()].map(statusOf);
  }

  async ensemble(name: string): Promise<EnsembleStatus> {
    return statusOf(this.#find(name));
  }

  async hosts(): Promise<HostStatus[]> {
    return this.hostList;
  }

  async cordon(host: string): Promise<HostStatus> {
    return this.#schedule(host, "cordoned");
  }

  async uncordon(host: string): Promise<HostStatus> {
    return this.#schedule(host, "open");
  }

  async drain(host: string): Promise<Operation> {
    this.#schedule(host, "draining");
    return this.#begin({ kind: "drain", host });
  }

  async forget(id: string, { gone = false }: { readonly gone?: boolean | undefined }): Promise<void> {
    const host = this.#findHost(id);
    if (host.state !== "lost") {
      throw new ConsortError("conflict", `Cannot forget ${id}: it is ${host.state}, wanted a lost host`);
    }
    if (host.appliances > 0 && !gone) {
      throw new ConsortError("conflict", `Cannot forget ${id}: something may run there still`);
    }
    this.hostList = this.hostList.filter((one) => one !== host);
  }

  async snapshot(): Promise<CloudSnapshot> {
    return {
      format: "consort-snapshot/1",
      takenAtMs: 0,
      topology: { sites: [], hosts: [], devices: [], links: [] },
      hosts: [],
      standings: {},
      ensembles: [],
      tunnels: {},
      cpuUsedMilli: {},
    };
  }

  async takeCheckpoints(ensemble: string, wish: CheckpointWish): Promise<CheckpointRequestStatus> {
    this.#find(ensemble);
    this.asked.push({ verb: "checkpoint", name: ensemble, wish });
    const request: CheckpointRequestStatus = {
      id: "r-1",
      ensemble,
      appliances: wish.appliances.map((name) => `${ensemble}/${name}`),
      together: wish.together,
      state: "done",
      requestedAtMs: 1000,
    };
    this.checkpointRequests.push(request);
    return request;
  }

  async checkpoints(ensemble: string): Promise<Checkpoints> {
    this.#find(ensemble);
    return { checkpoints: this.taken, requests: this.checkpointRequests, leftovers: [] };
  }

  async restore(name: string, from: { appliance: string; checkpoint?: string }): Promise<Operation> {
    this.#find(name);
    this.asked.push({ verb: "restore", name, from });
    return this.#begin({ kind: "restore", ensemble: name });
  }

  readonly imageSpecs = new Map<string, ImageSpec>();
  readonly uploads = new Map<Digest, Uint8Array>();

  async images(): Promise<ImageStatus[]> {
    return [...this.imageSpecs.values()].map(imageOf);
  }

  async image(name: string): Promise<ImageStatus> {
    const spec = this.imageSpecs.get(name);
    if (spec === undefined) throw new ConsortError("not_found", `Cannot find image "${name}"`);
    return imageOf(spec);
  }

  async registerImage(spec: ImageSpec): Promise<ImageStatus> {
    this.imageSpecs.set(spec.name, spec);
    return imageOf(spec);
  }

  async removeImage(name: string): Promise<void> {
    if (!this.imageSpecs.delete(name)) throw new ConsortError("not_found", `Cannot find image "${name}"`);
  }

  async uploadPart({ blob, fromByte, dataBase64, zeroBytes = 0 }: UploadBody): Promise<UploadResult> {
    const have = this.uploads.get(blob.digest) ?? new Uint8Array(0);
    const part = Buffer.concat([Buffer.from(dataBase64, "base64"), Buffer.alloc(zeroBytes)]);
    const more = fromByte === have.length ? part : new Uint8Array(0);
    this.uploads.set(blob.digest, Buffer.concat([have, more]));
    const haveBytes = have.length + more.length;
    return { haveBytes, complete: haveBytes === blob.sizeBytes };
  }

  async discoverImages({ url }: { readonly url: string }): Promise<readonly ImageSpec[]> {
    const disk = { kind: "url", url: `${url}/found.qcow2` } as const;
    const boot = { kind: "disk", firmware: "bios" } as const;
    return [{ name: "found", role: "base", architecture: "amd64", features: ["seed"], disk, boot }];
  }

  async collectContent(): Promise<CollectResult> {
    return { removed: 2, freedBytes: 5 * 1024 * 1024 };
  }

  async operations(): Promise<Operation[]> {
    return [...this.#operations.values()];
  }

  async operation(id: OperationId): Promise<Operation> {
    const operation = this.#operations.get(id);
    if (operation === undefined) {
      throw new ConsortError("not_found", `Cannot show operation ${id}: there is none`);
    }
    return operation;
  }

  async cancel(id: OperationId): Promise<Operation> {
    const operation = await this.operation(id);
    if (operation.state !== "running") {
      throw new ConsortError("conflict", `Cannot cancel operation ${id}: it is ${operation.state}`);
    }
    return this.change({ ...operation, state: "cancelled", message: "cancelled" });
  }

  /** Replaces what is known of an operation. */
  change(operation: Operation): Operation {
    this.#operations.set(operation.id, operation);
    return operation;
  }

  append(kind: string, subject: string, message: string): void {
    this.#events.push({ cursor: this.lastCursor() + 1, atMs: 0, kind, subject, message });
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  async *events(afterCursor: number, signal: AbortSignal): AsyncIterable<Event> {
    if (afterCursor < this.forgottenCursor) {
      throw new ConsortError("gone", `Cannot resume after event ${afterCursor}: it is forgotten`);
    }
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    let cursor = afterCursor;
    while (!signal.aborted) {
      const next = this.#events.find((event) => event.cursor > cursor);
      if (next === undefined) await Promise.race([this.#wake.promise, aborted]);
      else {
        cursor = next.cursor;
        yield next;
      }
    }
  }

  lastCursor(): number {
    return this.#events.length;
  }

  async exec(...call: Exec): Promise<number> {
    return this.onExec(...call);
  }

  /** Echoes what is typed, until "exit". */
  async console(
    ...[name, , { onOpen, onOutput }, signal]: Parameters<ClusterService["console"]>
  ): Promise<void> {
    this.#find(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    this.#typed = (chunk) => {
      onOutput(chunk);
      if (Buffer.from(chunk).toString().includes("exit")) resolve();
    };
    onOpen("0".repeat(32));
    await promise;
  }

  typeIntoConsole(_session: string, chunk: Uint8Array): void {
    this.#typed(chunk);
  }

  async log(name: string, appliance: string, maxBytes: number): Promise<string> {
    this.#find(name);
    return `the last ${maxBytes} bytes of ${name}/${appliance}\n`;
  }

  #begin(what: Pick<Operation, "kind" | "ensemble" | "host">): Operation {
    return this.change({
      ...what,
      id: `op-${this.#operations.size + 1}`,
      state: "running",
      phase: "accepted",
      progress: { done: 0, total: 1 },
      message: "accepted",
      createdAtMs: 0,
    });
  }

  #schedule(id: string, scheduling: HostStatus["scheduling"]): HostStatus {
    const before = this.#findHost(id);
    const host = { ...before, scheduling };
    this.hostList = this.hostList.map((one) => (one === before ? host : one));
    return host;
  }

  #findHost(id: string): HostStatus {
    const host = this.hostList.find((one) => one.id === id);
    if (host !== undefined) return host;
    throw new ConsortError("not_found", `Cannot find host ${id}: there is none`);
  }

  #find(name: string): Ensemble {
    const ensemble = this.declaredEnsembles.get(name);
    if (ensemble !== undefined) return ensemble;
    throw new ConsortError("not_found", `Cannot find ${name}: there is no such ensemble`);
  }
}

function statusOf(ensemble: Ensemble): EnsembleStatus {
  return {
    name: ensemble.name,
    state: "running",
    revision: 1,
    appliances: ensemble.appliances.map(({ name, kind }) => ({
      ensemble: ensemble.name,
      name,
      kind,
      host: "a1",
      state: "running",
      restarts: 2,
      addresses: [],
      cpuUsedMilli: 250,
      memoryUsedBytes: 1024,
    })),
    networks: [],
    links: ensemble.links.map(({ from, to }) => ({
      from,
      to,
      network: "lan",
      connection: "trivial",
      path: ["a1"],
      bandwidthBps: 600e6,
      forwardBps: 8000,
      backwardBps: 80,
      forwardBytes: 1000,
      backwardBytes: 10,
    })),
  };
}

function imageOf({ name, role, architecture, features }: ImageSpec): ImageStatus {
  return {
    name,
    state: "ready",
    role,
    architecture,
    features: [...features],
    sizeBytes: 3 * 1024 * 1024,
    content: [`sha256:${"a".repeat(64)}`],
    registeredAtMs: 0,
    copies: ["a1", "a2"],
    usedBy: [],
  };
}

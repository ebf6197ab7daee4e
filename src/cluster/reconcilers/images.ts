import type { HostId } from "#base/ids.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { holdingHosts } from "#cluster/image-requests.ts";
import { nextOfImage } from "#cluster/images.ts";
import type { ImageRecord, ImageWorld } from "#cluster/images.ts";
import { keys } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { sourcesOf } from "#model/image.ts";
import type { HostReport } from "#protocol/host-report.ts";

/** Follows images from registered to ready (images.ts decides). */
export class ImageReconciler {
  readonly #context: ClusterContext;
  /** What hosts told last of what they bring in, as text. */
  readonly #told = new Map<HostId, string>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  /** Whether a host tells that it has ended bringing something in. */
  hear({ host, imports }: HostReport): boolean {
    const text = imports?.map(({ id, state }) => `${id} ${state}`).join("\n") ?? "";
    const isNews = (this.#told.get(host) ?? "") !== text;
    if (text === "") this.#told.delete(host);
    else this.#told.set(host, text);
    return isNews;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, events, wake } = this.#context;
    if (this.#next().length === 0) return;
    const changed = await state.change(() => {
      const next = this.#next();
      const writes = next.map((record): StoreWrite => ({ put: keys.image(record.spec.name), value: record }));
      return { writes, result: next };
    }, signal);
    for (const { spec, state: now, host, message } of changed) {
      const where = host === undefined ? "" : ` on ${host}`;
      const why = message === undefined ? "" : `: ${message}`;
      events.append(`image.${now}`, `image/${spec.name}`, `${now}${where}${why}`);
    }
    wake.now();
  }

  #next(): ImageRecord[] {
    const { state } = this.#context;
    return [...state.images().values()].flatMap((record) => {
      if (record.state !== "importing") return [];
      return nextOfImage(record, this.#worldOf(record)) ?? [];
    });
  }

  #worldOf({ spec }: ImageRecord): ImageWorld {
    const { state, seen, parts } = this.#context;
    const uploaded = sourcesOf(spec).flatMap((source) =>
      source.kind === "blob" ? [source.blob.digest] : [],
    );
    return {
      nowMs: parts.clock.now(),
      hosts: holdingHosts(this.#context, spec.name, uploaded),
      isLost: (host) => !state.hosts().has(host) || seen.isLost(host),
      report: (host, id) => seen.report(host)?.imports?.find((one) => one.id === id),
    };
  }
}

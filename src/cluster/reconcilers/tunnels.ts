import type { ClusterContext } from "#cluster/context.ts";
import { tunnelRecordWrites, tunnelsSettled } from "#cluster/tunnel-records.ts";

/** Takes the next step of every tunnel's record. */
export class TunnelReconciler {
  readonly #context: ClusterContext;
  /** The version at which no tunnel's record had a step to go. */
  #settled = -1;

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, seen, dispatcher, parts } = this.#context;
    const version = state.version();
    if (this.#settled === version) return;
    if (tunnelsSettled(this.#context.desired())) {
      this.#settled = version;
      return;
    }
    await state.change(() => {
      const desired = this.#context.desired();
      const reports = [...seen.fresh().values()];
      // A silent host may still send what only a tunnel may carry.
      const allMatch =
        this.#context.isPlanned() &&
        [...desired.hosts.keys()].every((host) => dispatcher.matches(seen.freshReport(host)));
      const writes = tunnelRecordWrites(desired, { reports, allMatch }, parts.random);
      return { writes, result: undefined };
    }, signal);
  }
}

import { basename } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { isNumber, isText, listOf, optional, readJson, shape } from "#base/shape.ts";
import { millis } from "#base/units.ts";
import type { Qmp, RunningVm, VmDisk } from "../vm.ts";
import { oneAtATime } from "../turns.ts";
import { runState } from "./migration-status.ts";
import { remoteNode } from "./ports.ts";

const lookMs = millis(100);
const soonMs = millis(5);
const jobOf = (disk: string): string => `home-${disk}`;

const isJobs = listOf(
  shape({
    id: isText,
    status: isText,
    "current-progress": isNumber,
    "total-progress": isNumber,
    error: optional(isText),
  }),
);
const isNodes = listOf(
  shape({ "node-name": optional(isText), file: isText, image: shape({ "virtual-size": isNumber }) }),
);

type Nodes = ReadonlyMap<string, { readonly virtualBytes: number }>;

async function nodesOf(qmp: Qmp, signal: AbortSignal): Promise<Nodes> {
  const answer = await qmp.execute("query-named-block-nodes", { flat: true }, signal);
  const nodes = readJson(JSON.stringify(answer), isNodes, "QEMU");
  return new Map(nodes.map((one) => [one["node-name"] ?? "", { virtualBytes: one.image["virtual-size"] }]));
}

async function jobsOf(qmp: Qmp, signal: AbortSignal): Promise<ReadonlyMap<string, ReturnType<typeof jobIn>>> {
  const answer = await qmp.execute("query-jobs", {}, signal);
  return new Map(readJson(JSON.stringify(answer), isJobs, "QEMU").map((job) => [job.id, jobIn(job)]));
}

const jobIn = (job: {
  status: string;
  "current-progress": number;
  "total-progress": number;
  error: string | undefined;
}): { status: string; done: number; total: number; error: string | undefined } => ({
  status: job.status,
  done: job["current-progress"],
  total: job["total-progress"],
  error: job.error,
});

export type HomecomingNews = {
  readonly progress: (share: number) => void;
  /**
   * All of a disk is here, durably, and its machine stands still: from when this returns it may be written to here
   * alone, so that what boots its machine anew must have been told by then.
   */
  readonly isHere: (disk: string) => void;
};

/**
 * Brings a running machine's disks here from the host it left, one after the other, while it writes: what it writes is
 * on both sides until it is switched over. Only the layer that it writes into is copied; what is below is here
 * already. Called again, also by a later manager, it goes on where it was. Resolves when all disks are here.
 */
export async function bringHome(
  vm: RunningVm,
  parts: { readonly clock: Clock; readonly copyBytesPerSecond?: number },
  news: HomecomingNews,
  signal: AbortSignal,
): Promise<void> {
  for (const [at, disk] of vm.disks.entries()) {
    const progress = (share: number): void => news.progress((at + share) / vm.disks.length);
    await bringOne(vm, disk, parts, { ...news, progress }, signal);
  }
}

async function bringOne(
  vm: RunningVm,
  disk: VmDisk,
  { clock, copyBytesPerSecond }: { readonly clock: Clock; readonly copyBytesPerSecond?: number },
  news: HomecomingNews,
  signal: AbortSignal,
): Promise<void> {
  const { qmp } = vm;
  const [remote, job] = [remoteNode(disk.name), jobOf(disk.name)];
  let began = (await jobsOf(qmp, signal)).has(job);
  for (;;) {
    const nodes = await nodesOf(qmp, signal);
    const far = nodes.get(remote);
    if (far === undefined) return;
    if (!began) {
      await makeLayer(vm, disk, far.virtualBytes, nodes, signal);
      await qmp.execute(
        "blockdev-mirror",
        {
          "job-id": job,
          device: remote,
          target: disk.name,
          sync: "top",
          "copy-mode": "write-blocking",
          "auto-dismiss": false,
          ...(copyBytesPerSecond === undefined ? {} : { speed: copyBytesPerSecond }),
        },
        signal,
      );
      began = true;
    }
    const state = (await jobsOf(qmp, signal)).get(job);
    if (state === undefined)
      throw new ConsortError("driver_failed", `Cannot bring ${disk.name} here: its copy is gone`);
    news.progress(state.total === 0 ? 0 : state.done / state.total);
    if (state.status === "ready") await switchOver(qmp, job, clock, () => news.isHere(disk.name), signal);
    if (state.status !== "concluded") {
      await clock.sleep(state.status === "running" ? lookMs : soonMs, signal);
      continue;
    }
    await qmp.execute("job-dismiss", { id: job }, signal);
    if (state.error !== undefined) {
      throw new ConsortError("driver_failed", `Cannot bring ${disk.name} of ${vm.id} here: ${state.error}`);
    }
    await qmp.execute("blockdev-del", { "node-name": remote }, signal);
    if (nodes.has(`${remote}-file`))
      await qmp.execute("blockdev-del", { "node-name": `${remote}-file` }, signal);
    return;
  }
}

/** Both sides of the copy are alike, and flushed, while the machine stands still: either would do should it end then. */
function switchOver(
  qmp: Qmp,
  job: string,
  clock: Clock,
  isHere: () => void,
  signal: AbortSignal,
): Promise<void> {
  return oneAtATime(qmp, async () => {
    const ran = (await runState(qmp, signal)) === "running";
    await qmp.execute("stop", {}, signal);
    try {
      isHere();
      await qmp.execute("job-complete", { id: job }, signal);
      const isOver = async (): Promise<boolean> =>
        ((await jobsOf(qmp, signal)).get(job)?.status ?? "concluded") === "concluded";
      while (!(await isOver())) await clock.sleep(soonMs, signal);
    } finally {
      // Also when this manager ends: the next one may take its time.
      if (ran) await qmp.execute("cont", {}, qmp.closed);
    }
  });
}

/** The local layer, empty, under the disk's own name. QEMU makes it, so that it is its user's. */
async function makeLayer(
  vm: RunningVm,
  { name, file, below }: VmDisk,
  virtualBytes: number,
  nodes: Nodes,
  signal: AbortSignal,
): Promise<void> {
  const { qmp, inside } = vm;
  const filename = `${inside}/${basename(file)}`;
  if (!nodes.has(`${name}-file`)) {
    await create(qmp, `make-${name}-file`, { driver: "file", filename, size: 0 }, signal);
    await qmp.execute(
      "blockdev-add",
      { driver: "file", filename, "node-name": `${name}-file`, discard: "unmap" },
      signal,
    );
  }
  if (nodes.has(name)) return;
  await create(qmp, `make-${name}`, { driver: "qcow2", file: `${name}-file`, size: virtualBytes }, signal);
  const backing = below.length === 0 ? null : `${name}-below0`;
  await qmp.execute(
    "blockdev-add",
    { driver: "qcow2", "node-name": name, file: `${name}-file`, backing, discard: "unmap" },
    signal,
  );
}

async function create(
  qmp: Qmp,
  job: string,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    const stop = qmp.onEvent(({ event, data }) => {
      if (event !== "JOB_STATUS_CHANGE" || data["id"] !== job || data["status"] !== "concluded") return;
      stop();
      resolve();
    });
    qmp.closed.addEventListener("abort", () => resolve(), { once: true });
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await qmp.execute("blockdev-create", { "job-id": job, options }, signal);
  await ended;
  const state = (await jobsOf(qmp, signal)).get(job);
  await qmp.execute("job-dismiss", { id: job }, signal);
  if (state?.error !== undefined)
    throw new ConsortError("driver_failed", `Cannot make a layer: ${state.error}`);
}

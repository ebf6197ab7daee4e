import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Log, Random } from "#base/runtime.ts";
import type { LayerShape } from "./port.ts";
import { nextSpoolStep, targets, withRequest } from "./demand.ts";
import type { Demand, SpoolFile } from "./demand.ts";
import type { MakeLayer } from "./make.ts";
import { shapeKey, shapeOfFile } from "./shapes.ts";

export type SpoolOptions = {
  /** On the file system of the machines' directories; nobody else's. */
  readonly directory: string;
  readonly make: MakeLayer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

const blockBytes = 512;

/**
 * Layers made before they are asked for, so that taking one is a rename.
 *
 *   making/  being written, by us alone; what is found there at a start is rubbish
 *   ready/   whole and durable; renamed from making/, and out of here by whoever takes one
 *   trash/   what a machine left behind; removed when there is time
 */
export class LayerSpool {
  readonly #options: SpoolOptions;
  readonly #end = new AbortController();
  #demand: Demand = new Map();
  #working: Promise<void> | undefined;
  #again = false;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  #path(part: "making" | "ready" | "trash", name = ""): string {
    return join(this.#options.directory, part, name);
  }

  /** What is ready is kept: its shapes count as asked for now. */
  async recover(): Promise<void> {
    await rm(this.#path("making"), { recursive: true, force: true });
    for (const part of ["making", "ready", "trash"] as const)
      await mkdir(this.#path(part), { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#path("ready"))) {
      const shape = shapeOfFile(name);
      if (shape === undefined) await rm(this.#path("ready", name), { recursive: true, force: true });
      else this.expect(shape);
    }
    this.#wake();
  }

  /** A layer of that shape is at `file`, which was not there: true when one was ready. */
  async take(shape: LayerShape, file: string): Promise<boolean> {
    this.expect(shape);
    for (const { name } of await this.#ready(shapeKey(shape))) {
      try {
        await rename(this.#path("ready", name), file);
        return true;
      } catch (error) {
        // Somebody else took it meanwhile.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
    return false;
  }

  expect(shape: LayerShape): void {
    this.#demand = withRequest(this.#demand, shape, this.#options.clock.monotonic());
    this.#wake();
  }

  /** Makes one beside the spool, for who cannot wait; durable when it is there. */
  async makeAt(shape: LayerShape, file: string, signal: AbortSignal): Promise<void> {
    const unfinished = this.#path("making", `${shapeKey(shape)}-${this.#options.random.hex(8)}.qcow2`);
    try {
      await this.#options.make(shape, unfinished, signal);
      await makeDurable(unfinished);
      await rename(unfinished, file);
    } finally {
      await rm(unfinished, { force: true });
    }
  }

  /** Gives a file's space back later. */
  async discard(file: string): Promise<void> {
    try {
      await rename(file, this.#path("trash", this.#options.random.hex(8)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    this.#wake();
  }

  async settled(signal: AbortSignal): Promise<void> {
    while (this.#working !== undefined) {
      signal.throwIfAborted();
      await this.#working;
    }
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#working;
  }

  #wake(): void {
    this.#again = true;
    if (this.#working !== undefined || this.#end.signal.aborted) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Until there is nothing to do; a failure is told and tried again when next something is asked for. */
  async #work(): Promise<void> {
    try {
      while (this.#again && !this.#end.signal.aborted) {
        this.#again = false;
        await this.#emptyTrash();
        while (!this.#end.signal.aborted && (await this.#step()));
      }
    } catch (error) {
      if (!this.#end.signal.aborted)
        this.#options.log.warn("cannot make layers ready", { error: String(error) });
    }
  }

  async #step(): Promise<boolean> {
    const step = nextSpoolStep(targets(this.#demand, this.#options.clock.monotonic()), await this.#ready());
    if (step === undefined) return false;
    if (step.kind === "remove") {
      await rm(this.#path("ready", step.name), { force: true });
      return true;
    }
    const shape = this.#demand.get(step.key)?.shape;
    if (shape === undefined) return false;
    const name = `${step.key}-${this.#options.random.hex(8)}.qcow2`;
    await this.makeAt(shape, this.#path("ready", name), this.#end.signal);
    return true;
  }

  async #emptyTrash(): Promise<void> {
    for (const name of await readdir(this.#path("trash")))
      await rm(this.#path("trash", name), { recursive: true, force: true });
  }

  async #ready(key?: string): Promise<readonly SpoolFile[]> {
    const found: SpoolFile[] = [];
    for (const name of await readdir(this.#path("ready"))) {
      const shape = shapeOfFile(name);
      if (shape === undefined || (key !== undefined && shapeKey(shape) !== key)) continue;
      const blocks = await stat(this.#path("ready", name)).then(
        (file) => file.blocks,
        () => undefined,
      );
      if (blocks !== undefined) found.push({ name, key: shapeKey(shape), takenBytes: blocks * blockBytes });
    }
    return found;
  }
}

async function makeDurable(file: string): Promise<void> {
  const opened = await open(file, "r+");
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

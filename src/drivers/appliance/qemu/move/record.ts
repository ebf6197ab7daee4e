import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { ApplianceId } from "#base/ids.ts";
import { exactly, isFlag, isNumber, isText, listOf, oneOf, optional } from "#base/shape.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { fileNameOf } from "./ports.ts";
import type { Relay } from "./relays.ts";

/**
 * How far a move is on this side, durable before anything is done that only holds from that step on. `sent` is the
 * point of no return: from then on the machine never continues here, and only from then on may it continue there.
 */
export type MoveRecord = {
  readonly id: ApplianceId;
  readonly move: string;
  readonly side: "arriving" | "leaving";
  readonly phase: MoveReport["phase"];
  /** For the machine's state. */
  readonly stateRelay?: Relay;
  /** For its disks. */
  readonly disksRelay?: Relay;
  /** Arriving: it can begin before all of its memory is there. */
  readonly postcopy?: true;
  /** Arriving: it was to run before all of its memory was there, and whether the rest has come was not seen yet. */
  readonly memoryFollows?: true;
  /** Arriving: what is written to these goes to this host alone, from when this is written down. */
  readonly disksHere?: readonly string[];
  readonly downtimeMs?: number;
  /** Leaving: what its QEMU was started with. */
  readonly bootMemoryBytes?: number;
  /** Leaving: what its QEMU has, whether its guest uses them or not. */
  readonly processors?: number;
  /** Leaving: its writable layers, by the names of their files in its directory. */
  readonly disks?: readonly { readonly name: string; readonly file: string }[];
  readonly message?: string;
};

const isRelay = exactly({ pid: isNumber, startTime: isText, port: isNumber });
const isRecord = exactly({
  id: isText,
  move: isText,
  side: oneOf("arriving", "leaving"),
  phase: oneOf(
    "serving",
    "sending",
    "sent",
    "listening",
    "receiving",
    "received",
    "running-remote-disks",
    "local",
    "failed",
  ),
  stateRelay: optional(isRelay),
  disksRelay: optional(isRelay),
  postcopy: optional(isFlag),
  memoryFollows: optional(isFlag),
  disksHere: optional(listOf(isText)),
  downtimeMs: optional(isNumber),
  bootMemoryBytes: optional(isNumber),
  processors: optional(isNumber),
  disks: optional(listOf(exactly({ name: isText, file: isText }))),
  message: optional(isText),
});

const ending = ".json";

export class MoveRecords {
  readonly #directory: string;
  readonly #known = new Map<ApplianceId, MoveRecord>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What cannot be understood was not written by us, and is not obeyed. */
  load(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#directory)) {
      if (!name.endsWith(ending)) continue;
      const record = parsed(readFileSync(join(this.#directory, name), "utf8"));
      if (record !== undefined) this.#known.set(record.id, record);
    }
  }

  all(): readonly MoveRecord[] {
    return [...this.#known.values()];
  }

  get(id: ApplianceId): MoveRecord | undefined {
    return this.#known.get(id);
  }

  /** Durable when it returns. */
  save(record: MoveRecord): void {
    const file = this.#file(record.id);
    const open = openSync(`${file}.new`, "w", 0o600);
    try {
      writeSync(open, JSON.stringify(record));
      fsyncSync(open);
    } finally {
      closeSync(open);
    }
    renameSync(`${file}.new`, file);
    this.#sync();
    this.#known.set(record.id, record);
  }

  remove(id: ApplianceId): void {
    if (!this.#known.delete(id)) return;
    rmSync(this.#file(id), { force: true });
    this.#sync();
  }

  #file(id: ApplianceId): string {
    return join(this.#directory, fileNameOf(id) + ending);
  }

  #sync(): void {
    const open = openSync(this.#directory, "r");
    try {
      fsyncSync(open);
    } finally {
      closeSync(open);
    }
  }
}

function parsed(text: string): MoveRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? (value as unknown as MoveRecord) : undefined;
  } catch {
    return undefined;
  }
}

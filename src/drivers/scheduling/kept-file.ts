import { closeSync, openSync, writeSync } from "node:fs";
import { ConsortError, messageOf } from "#base/errors.ts";

/** A file of a control group, kept open: one write takes microseconds, opening it again ten times as long. */
export class KeptFile {
  readonly path: string;
  readonly #fd: number;

  /** Undefined: there is no such file, as its group is gone or the kernel has no such limit. */
  static open(path: string): KeptFile | undefined {
    try {
      return new KeptFile(path, openSync(path, "w"));
    } catch {
      return undefined;
    }
  }

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** False: its group is gone meanwhile. @throws driver_failed when the kernel refuses the value */
  write(value: string): boolean {
    try {
      writeSync(this.#fd, value);
      return true;
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ENODEV") return false;
      throw new ConsortError(
        "driver_failed",
        `Cannot write "${value}" to ${this.path}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

const fileName = "lease";
const digits = 16;
const bootIdFile = "/proc/sys/kernel/random/boot_id";

/**
 * Until when a host's leased appliances may run: one small file that every supervisor holds open from birth and reads
 * for itself, so that nobody has to be alive for them to stop.
 *
 *     0000000123456789 0000000123456789 8f3c…-boot-id
 *     └── ms of CLOCK_MONOTONIC, twice: a reader that meets a half-written record sees two numbers, and reads again
 *
 * Always written in place and in one call, never replaced: the supervisors' files would be another one then. After a
 * reboot that clock begins anew, so what an earlier boot wrote is void.
 */
export class LeaseFile {
  readonly path: string;
  readonly #clock: Clock;
  #fd: number | undefined;
  #endMs = 0;

  constructor(stateDir: string, clock: Clock) {
    this.path = join(stateDir, fileName);
    this.#clock = clock;
  }

  /** Takes over what an earlier manager of this boot was granted. */
  open(): void {
    const { O_RDWR, O_CREAT } = constants;
    this.#fd ??= openSync(this.path, O_RDWR | O_CREAT, 0o600);
    const text = Buffer.alloc(3 * digits + 64);
    const length = readSync(this.#fd, text, 0, text.length, 0);
    this.#write(leaseEnd(text.toString("latin1", 0, length), bootId()));
  }

  /** False: it was known already, or is no longer than what was known. */
  extend(until: Millis): boolean {
    // In this order a pause between the two readings makes the lease shorter, never longer.
    const absoluteMs = monotonicMs();
    const endMs = Math.floor(absoluteMs + (until - this.#clock.monotonic()));
    if (endMs <= this.#endMs || this.#fd === undefined) return false;
    this.#write(endMs);
    return true;
  }

  /** In ms of CLOCK_MONOTONIC. */
  get endMs(): Millis {
    return millis(this.#endMs);
  }

  lasts(): boolean {
    return monotonicMs() < this.#endMs;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #write(endMs: number): void {
    if (this.#fd === undefined) return;
    writeSync(this.#fd, leaseRecord(millis(endMs), bootId()), 0);
    this.#endMs = endMs;
  }
}

/** CLOCK_MONOTONIC, the same for all processes of this boot. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

let bootIdRead: string | undefined;
const bootId = (): string => (bootIdRead ??= readFileSync(bootIdFile, "latin1").trim());

/** The file's content for a lease that ends at `endMs` of CLOCK_MONOTONIC. */
export function leaseRecord(endMs: Millis, boot: string): string {
  const end = String(endMs).padStart(digits, "0");
  return `${end} ${end} ${boot}\n`;
}

/** 0 (long over) for what another boot wrote, for nothing, and for what is not whole. */
export function leaseEnd(text: string, boot: string): number {
  const [first, second, writtenIn] = text.trimEnd().split(" ");
  return first !== undefined && first === second && writtenIn === boot ? Number(first) : 0;
}

import { plainWords } from "./plain-words.ts";
import type { QmpEvent } from "./vm.ts";

/**
 * What QEMU told of one run of a machine:
 *
 *   prelaunch ─ cont ─► running ⇄ paused | io-error ...      inmigrate ─► (its mover) ─► running
 *   any of these ─► over (guest: powered off | panicked; host: told to quit, killed)
 */
export type GuestState = {
  /** QEMU's own word for its run state (query-status). */
  readonly status: string;
  /** Resets by the guest itself, panics among them. */
  readonly resets: number;
  readonly panic?: string;
  /** Why QEMU is about to end: "guest-shutdown", "host-signal", … */
  readonly shutdown?: string;
  readonly ioError?: string;
  /** QEMU stops it until it is told to try again. */
  readonly isHeldByDisk?: boolean;
};

export const beforeGuest: GuestState = { status: "prelaunch", resets: 0 };

const statusAfter: Readonly<Record<string, string>> = {
  SUSPEND: "suspended",
  WAKEUP: "running",
};

export function afterEvent(state: GuestState, { event, data }: QmpEvent): GuestState {
  switch (event) {
    case "RESET":
      return data["guest"] === true ? { ...state, resets: state.resets + 1 } : state;
    case "SHUTDOWN":
      return { ...state, shutdown: textOf(data["reason"]) };
    case "GUEST_PANICKED":
      return { ...state, panic: "its kernel said so" };
    case "BLOCK_IO_ERROR":
      return {
        ...state,
        ioError: `${diskOf(data)}: ${textOf(data["reason"])}`,
        isHeldByDisk: data["action"] === "stop",
      };
    case "STOP":
      // What follows such an error is that: QEMU's word for it only comes when it is asked.
      return { ...state, status: state.isHeldByDisk === true ? "io-error" : "paused" };
    case "RESUME":
      return { ...state, status: "running", isHeldByDisk: false };
    default: {
      const status = statusAfter[event];
      return status === undefined ? state : { ...state, status };
    }
  }
}

const wordsLengthMax = 200;
const textOf = (value: unknown): string =>
  typeof value === "string" ? plainWords(value, wordsLengthMax) : "unknown";

/** A disk of ours is no device by name, but a node. */
const diskOf = ({ device, ...data }: QmpEvent["data"]): string =>
  textOf(device === "" ? data["node-name"] : device);

/** Reasons of a shutdown that came from the guest. */
export function endWords(state: GuestState): string | undefined {
  if (state.panic !== undefined) return `Its guest panicked: ${state.panic}`;
  if (state.shutdown === "guest-shutdown") return "Its guest powered off";
  return undefined;
}

/** The last words of a kernel on its console before it gave up; undefined if it did not. */
export function panicOn(console: string): string | undefined {
  const [, words] = /Kernel panic - not syncing: ([^\r\n]*)/.exec(console.slice(-panicTailMax)) ?? [];
  return words === undefined ? undefined : plainWords(words, wordsLengthMax);
}

/** Of the console: a panic's stack follows its words. */
const panicTailMax = 16_384;

/** What QEMU itself said last on the machine's output; undefined if nothing. */
export function qemuWords(output: string): string | undefined {
  const lines = output.split("\n").filter((line) => line.startsWith("qemu-system-"));
  const last = lines.at(-1);
  return last === undefined
    ? undefined
    : plainWords(last.replace(/^qemu-system-[^:]*: /, ""), 2 * wordsLengthMax);
}

import type { Clock } from "#base/runtime.ts";
import type { Arguments, OptionSpec } from "#cli/arguments.ts";
import type { GuestBuilder } from "#drivers/guest/port.ts";
import type { ProgramRunner } from "#drivers/profile/port.ts";
import type { LabMachine } from "#lab/machine.ts";

/** Standard input and output of a command, as it needs to know them. */
export type Terminal = {
  readonly out: (content: string | Uint8Array) => void;
  readonly err: (content: string | Uint8Array) => void;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  /** Width of the terminal, or 80. */
  readonly columns: () => number;
  readonly rows: () => number;
  readonly readInput: () => Promise<Uint8Array>;
  /** What is typed, as it is typed, without an echo; of anything but a terminal what comes. Until the signal aborts. */
  readonly keys: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
};

/** Room for a line of text: what is not for a terminal has no end. */
export const lineWidth = (terminal: Terminal): number =>
  terminal.outIsTerminal ? terminal.columns() : Number.POSITIVE_INFINITY;

/** What the environment says; read in src/main/cli.ts only. */
export type Surroundings = {
  readonly apiUrl?: string;
  readonly tokenFile?: string;
  readonly lab: string;
  /** "/run/consort": what lives as long as the machine is up. */
  readonly runRoot: string;
  /** "/var/lib/consort": what survives. */
  readonly stateRoot: string;
};

export type DoctorResult = { readonly report: unknown; readonly text: string; readonly ok: boolean };

/** What only some commands need and which is slow to load. */
export type Tools = {
  doctor(signal: AbortSignal): Promise<DoctorResult>;
  labMachine(): Promise<LabMachine>;
  programRunner(): Promise<ProgramRunner>;
  guestBuilder(): Promise<GuestBuilder>;
};

export type CommandContext = {
  readonly terminal: Terminal;
  readonly surroundings: Surroundings;
  readonly tools: Tools;
  readonly clock: Clock;
  /** Aborted by the first Ctrl-C: stop what you do and leave things consistent. */
  readonly signal: AbortSignal;
  /** Aborted by the second: do not even tidy up. What must be finished after the first waits with this one. */
  readonly afterwards: AbortSignal;
};

/** One command: a file of src/cli that exports `command`, listed in `commands.ts`. */
export type Command = {
  /** What stands after "consort", with arguments in capitals: "up FILE". */
  readonly usage: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Paragraphs of its help: what it does, and what it leaves behind when it is interrupted. */
  readonly about: readonly string[];
  readonly examples: readonly { readonly line: string; readonly what: string }[];
  /** Number of arguments it takes, ends included. */
  readonly takes: readonly [least: number, most: number];
  /** Takes whatever follows "--" as it is. */
  readonly rest?: boolean;
  /** Resolves with the exit code: 0 done, 1 failed, 2 bad input, 3 cannot be satisfied. */
  run(given: Arguments, context: CommandContext): Promise<number>;
};

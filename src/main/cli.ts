import type { CommandContext, Surroundings, Terminal, Tools } from "#cli/command.ts";
import { runCommandLine } from "#cli/run.ts";
import { systemClock } from "#drivers/system/clock.ts";

/** The command line: reads the environment, chooses implementations, turns Ctrl-C into signals. */

function surroundings(env: NodeJS.ProcessEnv): Surroundings {
  const apiUrl = env["CONSORT_API"];
  const tokenFile = env["CONSORT_TOKEN_FILE"];
  return {
    lab: env["CONSORT_LAB"] ?? "lab",
    runRoot: env["CONSORT_RUN_DIR"] ?? "/run/consort",
    stateRoot: env["CONSORT_STATE_DIR"] ?? "/var/lib/consort",
    ...(apiUrl === undefined ? {} : { apiUrl }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
  };
}

function terminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  // Whoever reads us may stop early, as `head` does.
  for (const stream of [stdout, stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  return {
    out: (content) => void stdout.write(content),
    err: (content) => void stderr.write(content),
    outIsTerminal: stdout.isTTY,
    errIsTerminal: stderr.isTTY,
    columns: () => stdout.columns || 80,
    rows: () => stdout.rows || 24,
    async readInput() {
      const chunks: Buffer[] = [];
      for await (const chunk of stdin) chunks.push(Buffer.from(chunk as Uint8Array));
      return Buffer.concat(chunks);
    },
    async *keys(signal) {
      const raw = stdin.isTTY;
      if (raw) stdin.setRawMode(true);
      const stop = (): void => void stdin.destroy();
      signal.addEventListener("abort", stop, { once: true });
      try {
        for await (const chunk of stdin) yield Buffer.from(chunk as Uint8Array);
      } catch (cause) {
        if (!signal.aborted) throw cause;
      } finally {
        if (raw) stdin.setRawMode(false);
      }
    },
  };
}

const clock = systemClock();
const around = surroundings(process.env);

const tools: Tools = {
  async doctor(signal) {
    const { examineMachine } = await import("#main/doctor.ts");
    return examineMachine(around.stateRoot, signal);
  },
  async labMachine() {
    const { labMachine } = await import("#main/lab-machine.ts");
    return labMachine(clock);
  },
  async programRunner() {
    const { programRunner } = await import("#main/program-runner.ts");
    return programRunner(clock);
  },
  async guestBuilder() {
    const { guestBuilder } = await import("#main/guest-builder.ts");
    return guestBuilder(process.env["CONSORT_CACHE_DIR"] ?? "/var/cache/consort");
  },
};

function interrupts(): Pick<CommandContext, "signal" | "afterwards"> {
  const first = new AbortController();
  const second = new AbortController();
  let presses = 0;
  const press = (): void => {
    presses += 1;
    if (presses === 1) first.abort(new Error("interrupted"));
    else if (presses === 2) second.abort(new Error("interrupted twice"));
    else process.exit(1);
  };
  process.on("SIGINT", press);
  process.on("SIGTERM", press);
  return { signal: first.signal, afterwards: second.signal };
}

const context: CommandContext = {
  terminal: terminal(),
  surroundings: around,
  tools,
  clock,
  ...interrupts(),
};
process.exitCode = await runCommandLine(process.argv.slice(2), context);

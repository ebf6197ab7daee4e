import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve as absolute } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { ProcessEnd, ProcessIdentity, Processes, StartOptions } from "./port.ts";

/**
 * Joins groups, then becomes the program. Arguments: how many groups, their files, the command. Whoever joined from
 * outside would come too late for what the program starts first.
 */
const joinThenRun =
  'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done; exec "$@"';

/** The machine's own; `layout` says where its control groups are. */
export function systemProcesses(layout: CgroupLayout): Processes {
  return {
    start,
    self: () => ({ pid: process.pid, startTime: stateOf(process.pid)?.startTime ?? "" }),
    identify,
    isRunning: (identity) => identify(identity.pid)?.startTime === identity.startTime,
    threads: (identity) =>
      isSame(identity) ? attempt([], () => readdirSync(`/proc/${identity.pid}/task`).map(Number)) : [],
    groupFiles: (identity) => groupFilesOf(identity, layout),
    join(identity, files) {
      if (!isSame(identity)) throw ended(identity);
      for (const file of files)
        try {
          writeFileSync(file, String(identity.pid));
        } catch (cause) {
          throw new ConsortError(
            "driver_failed",
            `Cannot move process ${identity.pid} to ${file}: ${messageOf(cause)}`,
            { cause },
          );
        }
    },
    signal(identity, name) {
      if (!isSame(identity)) return false;
      return attempt(false, () => process.kill(identity.pid, name));
    },
  };
}

async function start(command: readonly string[], options: StartOptions) {
  const [program, ...args] = command;
  if (program === undefined)
    throw new ConsortError("bad_input", "Cannot start a process: no command was given");
  const { groupFiles, output, directory, env } = options;
  const wrapped = groupFiles.length > 0;
  // Else the shell would be what runs, and it would only say so on its way out.
  if (wrapped && !isThere(program, directory, env?.["PATH"] ?? process.env["PATH"] ?? ""))
    throw new ConsortError("driver_failed", `Cannot start ${program}: no such program`);
  const child = spawn(
    wrapped ? "/bin/sh" : program,
    wrapped ? ["-c", joinThenRun, "sh", String(groupFiles.length), ...groupFiles, ...command] : args,
    {
      stdio: ["ignore", output, output],
      ...(directory === undefined ? {} : { cwd: directory }),
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    },
  );
  const endedThen = endOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) =>
      reject(new ConsortError("driver_failed", `Cannot start ${program}: ${cause.message}`, { cause })),
    );
  });
  const pid = child.pid ?? 0;
  // It joins by itself, before it starts anything; here, so that it has joined when the caller is told that it runs.
  for (const file of groupFiles) attempt(undefined, () => writeFileSync(file, String(pid)));
  // A child that has ended stays until its end was told, which happens later.
  return { pid, startTime: stateOf(pid)?.startTime ?? "", ended: endedThen };
}

function isThere(program: string, directory: string | undefined, path: string): boolean {
  const places = program.includes("/") ? [directory ?? "."] : path.split(":");
  return places.some((place) =>
    attempt(false, () => {
      accessSync(absolute(place, program), constants.X_OK);
      return true;
    }),
  );
}

const endOf = (child: ChildProcess): Promise<ProcessEnd> =>
  new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });

function identify(pid: number): ProcessIdentity | undefined {
  const found = stateOf(pid);
  return found === undefined || found.state === "Z" || found.state === "X" || !isProcess(pid)
    ? undefined
    : { pid, startTime: found.startTime };
}

/** Threads other than the first can be looked up by their number, too. */
const isProcess = (pid: number): boolean =>
  attempt("", () => readFileSync(`/proc/${pid}/status`, "utf8")).includes(`\nTgid:\t${pid}\n`);

function stateOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  const stat = attempt("", () => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The name, in brackets, may itself hold brackets and blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

const isSame = (identity: ProcessIdentity): boolean =>
  identify(identity.pid)?.startTime === identity.startTime;

function groupFilesOf(identity: ProcessIdentity, layout: CgroupLayout): readonly string[] {
  const lines = attempt("", () => readFileSync(`/proc/${identity.pid}/cgroup`, "utf8")).split("\n");
  const trees = new Set<string>();
  const files: string[] = [];
  for (const line of lines) {
    const [, names = "", path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const mounted =
      names === ""
        ? [layout.v2]
        : Object.entries(layout.v1).flatMap(([name, tree]) =>
            names.split(",").includes(name) ? [tree] : [],
          );
    for (const tree of mounted) {
      if (tree === undefined || trees.has(tree)) continue;
      trees.add(tree);
      files.push(join(tree, path, "cgroup.procs"));
    }
  }
  return files;
}

const ended = (identity: ProcessIdentity): ConsortError =>
  new ConsortError("not_found", `Cannot move process ${identity.pid}: it has ended`);

/** What has gone meanwhile is no error here. */
function attempt<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

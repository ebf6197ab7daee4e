import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join, resolve as absolute } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type {
  ProcessEnd,
  ProcessIdentity,
  Processes,
  StartOptions,
  StartedProcess,
  ThreadIdentity,
} from "./port.ts";

/**
 * Becomes the program once its starter has moved it to its groups and says so: later it could have started others already,
 * and a move of its own could undo what its starter does next. Without a word from there it ends.
 */
const waitThenRun = 'read -r _ <&3 || exit 125; exec 3<&-; exec "$@"';

/** The machine's own; `layout` says where its control groups are. */
export function systemProcesses(layout: CgroupLayout): Processes {
  return {
    start,
    self: () => ({ pid: process.pid, startTime: stateOf(process.pid)?.startTime ?? "" }),
    identify,
    isRunning: (identity) => identify(identity.pid)?.startTime === identity.startTime,
    threads: (identity) =>
      isSame(identity) ? attempt([], () => readdirSync(`/proc/${identity.pid}/task`).map(Number)) : [],
    groupFiles: (identity) => groupsOf(identity, layout).map((group) => join(group, "cgroup.procs")),
    identifyThread,
    threadFiles: (identity) =>
      groupsOf(identity, { v1: layout.v1, v2Controllers: [] }).map((group) => join(group, "tasks")),
    joinThreads(tids, files) {
      for (const tid of tids) if (stateOf(tid) !== undefined) moveThread(tid, files);
    },
    join(identity, files) {
      if (!isSame(identity)) throw ended(identity);
      for (const file of files) moveTo(file, identity.pid);
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
  const { groupFiles, output, directory, env, beforeRun } = options;
  const wrapped = groupFiles.length > 0;
  // Else the shell would be what runs, and it would only say so on its way out.
  const problem = problemOf(program, directory, env?.["PATH"] ?? process.env["PATH"] ?? "");
  if (problem !== undefined)
    throw new ConsortError("driver_failed", `Cannot start ${program === "" ? '""' : program}: ${problem}`);
  const child = spawn(wrapped ? "/bin/sh" : program, wrapped ? ["-c", waitThenRun, "sh", ...command] : args, {
    stdio: ["ignore", output, output, ...(wrapped ? ["pipe" as const] : [])],
    ...(directory === undefined ? {} : { cwd: directory }),
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
  });
  const endedThen = endOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) =>
      reject(new ConsortError("driver_failed", `Cannot start ${program}: ${cause.message}`, { cause })),
    );
  });
  const pid = child.pid ?? 0;
  // A child that has ended stays until its end was told, which happens later.
  const startTime = stateOf(pid)?.startTime ?? "";
  const started: StartedProcess = { pid, startTime, ended: endedThen, release: () => child.unref() };
  if (wrapped) letRun(child, started, groupFiles, beforeRun);
  else beforeRun?.(started);
  return started;
}

/** Moves what waits to its groups, and lets it go on; what cannot be moved never runs. */
function letRun(
  child: ChildProcess,
  started: StartedProcess,
  groupFiles: readonly string[],
  beforeRun: StartOptions["beforeRun"],
): void {
  const word = child.stdio[3];
  if (!(word instanceof Socket)) throw new TypeError("a child that waits has a fourth stream");
  // It may have been ended meanwhile, which is told as its end.
  word.on("error", () => {});
  try {
    for (const file of groupFiles) moveTo(file, started.pid);
    beforeRun?.(started);
    word.end("\n", () => word.destroy());
  } catch (cause) {
    word.destroy();
    throw cause;
  }
}

/** Why a program cannot be started; undefined: it can. */
function problemOf(program: string, directory: string | undefined, path: string): string | undefined {
  if (directory !== undefined && !attempt(false, () => statSync(directory).isDirectory()))
    return `its directory ${directory} is not there`;
  const places = program.includes("/") ? [""] : path.split(":");
  const found = places
    .map((place) => absolute(directory ?? ".", place, program))
    .filter((file) => attempt(false, () => statSync(file).isFile()));
  if (found.length === 0) return "no such program";
  const may = found.some((file) =>
    attempt(false, () => {
      accessSync(file, constants.X_OK);
      return true;
    }),
  );
  return may ? undefined : "it may not be executed";
}

function moveTo(groupFile: string, pid: number): void {
  try {
    writeFileSync(groupFile, String(pid));
  } catch (cause) {
    throw new ConsortError(
      "driver_failed",
      `Cannot move process ${pid} to ${groupFile}: ${messageOf(cause)}`,
      { cause },
    );
  }
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
const isProcess = (pid: number): boolean => processOf(pid) === pid;

/** The number of the process that a thread is of. */
function processOf(tid: number): number | undefined {
  const status = attempt("", () => readFileSync(`/proc/${tid}/status`, "utf8"));
  const found = /^Tgid:\t(\d+)$/m.exec(status)?.[1];
  return found === undefined ? undefined : Number(found);
}

function identifyThread(tid: number): ThreadIdentity | undefined {
  const [found, pid] = [stateOf(tid), processOf(tid)];
  if (found === undefined || pid === undefined || pid === tid) return undefined;
  const process = identify(pid);
  return process === undefined ? undefined : { tid, startTime: found.startTime, process };
}

function stateOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  const stat = attempt("", () => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The name, in brackets, may itself hold brackets and blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

const isSame = (identity: ProcessIdentity): boolean =>
  identify(identity.pid)?.startTime === identity.startTime;

/** Directories of the groups that a process is in. */
function groupsOf(identity: ProcessIdentity, layout: CgroupLayout): readonly string[] {
  const lines = attempt("", () => readFileSync(`/proc/${identity.pid}/cgroup`, "utf8")).split("\n");
  const trees = new Set<string>();
  const groups: string[] = [];
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
      groups.push(join(tree, path));
    }
  }
  return groups;
}

function moveThread(tid: number, files: readonly string[]): void {
  try {
    for (const file of files) moveTo(file, tid);
  } catch (cause) {
    if (stateOf(tid) !== undefined) throw cause;
  }
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

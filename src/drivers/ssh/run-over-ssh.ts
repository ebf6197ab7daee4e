import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { ExecRequest, SshPlace } from "#drivers/appliance/port.ts";
import { quoted } from "#drivers/job/run-script.ts";

export type SshParts = {
  /** For keys, known hosts and the sockets of connections that are kept for a while; its path is short. */
  readonly directory: string;
};

/** What ssh ends with when it is not the program's own end. */
const failedCode = 255;
const complaintBytesMax = 2000;
/** A connection is kept this long for the next program: making one takes longer than most of these. */
const keptSeconds = 10;
const hangUpMsMax = 2000;

/**
 * Runs a program in a guest by its SSH server, from inside the network namespace its host shares with it. Resolves with
 * its exit code; rejects with `conflict` when the guest does not answer or is not the one that was expected.
 */
export function runOverSsh(
  { directory }: SshParts,
  id: ApplianceId,
  place: SshPlace,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<number> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const words = Object.entries(request.env).map(([key, value]) => `${key}=${quoted(value)}`);
  const line = [...(words.length === 0 ? [] : ["env", ...words]), ...request.command.map(quoted)].join(" ");
  const child = spawn(
    "nsenter",
    [
      `--net=${place.netns}`,
      "ssh",
      "-F",
      "none",
      "-p",
      String(place.port),
      ...optionsFor(directory, id, place),
      `${place.user}@${place.address}`,
      "--",
      line,
    ],
    { stdio: ["pipe", "pipe", "pipe"], cwd: "/" },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let complaint = "";
  const abort = (): void => {
    child.kill("SIGTERM");
  };
  signal.addEventListener("abort", abort, { once: true });
  child.stdout.on("data", (chunk: Uint8Array) => request.onOutput("stdout", chunk));
  child.stderr.on("data", (chunk: Uint8Array) => {
    if (complaint.length < complaintBytesMax) complaint += Buffer.from(chunk).toString();
    request.onOutput("stderr", chunk);
  });
  // A program that does not read its input closes the pipe early; its exit code tells the story.
  child.stdin.on("error", () => {});
  child.once("error", (cause) => {
    reject(new ConsortError("driver_failed", `Cannot run a program in ${id}: ${cause.message}`, { cause }));
  });
  child.once("close", (code) => {
    signal.removeEventListener("abort", abort);
    if (signal.aborted) return reject(signal.reason);
    if (code !== null && code !== failedCode) return resolve(code);
    const why = complaint.trim().replaceAll(/\s+/g, " ").slice(0, 300);
    reject(
      new ConsortError("conflict", `Cannot reach ${id} over SSH: ${why === "" ? "it does not answer" : why}`),
    );
  });
  child.stdin.end(request.stdin ?? "");
  return promise;
}

/**
 * Its machine is gone: no connection to it is kept, nor its keys. A connection that is kept would hold on to the
 * machine's network namespace. Never rejects.
 */
export async function forgetShells({ directory }: SshParts, id: ApplianceId): Promise<void> {
  if (!existsSync(directory)) return;
  const own = readdirSync(directory).filter((name) => name.startsWith(`${nameOf(id)}-`));
  const lines = own.filter((name) => name.endsWith(lineEnding)).map((name) => join(directory, name));
  await Promise.all(lines.map(hangUp));
  for (const name of own) rmSync(join(directory, name), { force: true });
}

function hangUp(line: string): Promise<void> {
  const words = ["-F", "none", "-o", `ControlPath=${line}`, "-O", "exit", "nobody"];
  return new Promise((resolve) => {
    execFile("ssh", words, { timeout: hangUpMsMax }, () => resolve());
  });
}

const lineEnding = ".line";
const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");
const nameOf = (id: ApplianceId): string => digestOf(id).slice(0, 8);

/** Whole or not at all, and never again: what is in it follows from its name. */
function kept(file: string, content: string): string {
  if (existsSync(file)) return file;
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  renameSync(draft, file);
  return file;
}

/** Options of ssh for one guest; what it may be known by, and lets in, is written down for it. */
function optionsFor(directory: string, id: ApplianceId, place: SshPlace): readonly string[] {
  // All guests answer at one address, each in a namespace of its own.
  const { netns, address, port, hostKey, privateKey } = place;
  const name = `${nameOf(id)}-${digestOf([netns, address, port, hostKey, privateKey].join(" ")).slice(0, 12)}`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const host = port === 22 ? address : `[${address}]:${port}`;
  return Object.entries({
    BatchMode: "yes",
    StrictHostKeyChecking: "yes",
    UserKnownHostsFile: kept(join(directory, `${name}.known`), `${host} ${hostKey}\n`),
    GlobalKnownHostsFile: "/dev/null",
    IdentityFile: kept(join(directory, `${name}.key`), privateKey),
    IdentitiesOnly: "yes",
    ConnectTimeout: 5,
    ServerAliveInterval: 5,
    ServerAliveCountMax: 3,
    ControlMaster: "auto",
    ControlPath: join(directory, `${name}${lineEnding}`),
    ControlPersist: keptSeconds,
    LogLevel: "ERROR",
    ForwardAgent: "no",
    ForwardX11: "no",
    PermitLocalCommand: "no",
  }).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

import { ConsortError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";

type ExecLine =
  | { readonly stream: "stdout" | "stderr"; readonly dataBase64: string }
  | { readonly exitCode: number }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };

export type RemoteProgram = {
  readonly ensemble: string;
  readonly appliance: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
};

/** Runs a program inside an appliance and hands on what it writes; resolves with its exit code. */
export async function execIn(
  client: Client,
  program: RemoteProgram,
  onOutput: (stream: "stdout" | "stderr", chunk: Buffer) => void,
  signal: AbortSignal,
): Promise<number> {
  const { ensemble, appliance, command, env = {}, stdin } = program;
  const body = {
    command,
    env,
    ...(stdin === undefined ? {} : { stdinBase64: Buffer.from(stdin).toString("base64") }),
  };
  const where = route`/v1/ensembles/${ensemble}/appliances/${appliance}/exec`;
  for await (const line of client.lines("POST", where, signal, { body })) {
    if (line === "") continue;
    const told = JSON.parse(line) as ExecLine;
    if ("error" in told) throw new ConsortError(told.error.code, told.error.message);
    if ("exitCode" in told) return told.exitCode;
    onOutput(told.stream, Buffer.from(told.dataBase64, "base64"));
  }
  throw new ConsortError(
    "unavailable",
    `Cannot tell how ${command[0]} ended: the manager's answer broke off, wanted an exit code`,
  );
}

/** The same, with what it wrote collected as text. */
export async function captureIn(
  client: Client,
  program: RemoteProgram,
  signal: AbortSignal,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const chunks: Record<"stdout" | "stderr", Buffer[]> = { stdout: [], stderr: [] };
  const exitCode = await execIn(client, program, (stream, chunk) => chunks[stream].push(chunk), signal);
  return {
    exitCode,
    stdout: Buffer.concat(chunks.stdout).toString(),
    stderr: Buffer.concat(chunks.stderr).toString(),
  };
}

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { consoleOutputFd, qemuProgram } from "./command/command.ts";
import { insideDirectory } from "./command/spec.ts";

const fileName = "launch";

/** What a machine's slot runs. Read anew at each run, so that one may wait for another's state and the next one boot. */
export const launchCommand: readonly string[] = ["/bin/sh", `${insideDirectory}/${fileName}`];

/** The slot's output is where the console's goes; QEMU knows it by a descriptor of its own. */
export function launchText(args: readonly string[]): string {
  return [`exec ${consoleOutputFd}>&1`, `exec ${qemuProgram} ${args.map(quoted).join(" ")}`, ""].join("\n");
}

/** Whole or not at all. Nothing the machine put there is followed. */
export function writeLaunch(directory: string, args: readonly string[]): void {
  const file = join(directory, fileName);
  rmSync(`${file}.new`, { recursive: true, force: true });
  writeFileSync(`${file}.new`, launchText(args), { mode: 0o644, flag: "wx" });
  renameSync(`${file}.new`, file);
}

const quoted = (argument: string): string => `'${argument.replaceAll("'", `'\\''`)}'`;

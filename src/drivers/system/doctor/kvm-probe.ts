import { closeSync, existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { newPlace } from "./abandoned-places.ts";
import type { Finding } from "./report.ts";

const guestProgram = fileURLToPath(new URL("kvm-guest.worker.ts", import.meta.url));
const guestMsMax = millis(1200);
const sectorBytes = 512;
/** mov al,0x10; out 0xf4,al; hlt: leaves QEMU by its debug-exit device with (0x10 << 1) | 1. */
const bootCode = [0xb0, 0x10, 0xe6, 0xf4, 0xf4];
const bootExitCode = 33;
const qemu = "qemu-system-x86_64";
/** Of setpriv, for a program that is not there. */
const notFoundCode = 127;
/** What a program is given open comes after its standard input and outputs. */
const firstInherited = 3;

export type GuestOutcome = "ran" | "hung" | "absent" | { readonly refused: string };

/** The smallest guest first; then, where there is QEMU, one with firmware and a boot sector. */
export function kvmFinding(device: boolean, small: GuestOutcome, whole: GuestOutcome): Finding {
  if (!device) return { status: "missing", found: "no /dev/kvm" };
  if (small === "hung")
    return { status: "missing", found: `/dev/kvm opens, but a guest did not halt within ${guestMsMax} ms` };
  if (small === "absent")
    return { status: "limited", found: "/dev/kvm is there; not tried on this processor" };
  if (small !== "ran") return { status: "missing", found: small.refused };
  if (whole === "ran") return { status: "ok", found: "runs a guest with firmware" };
  if (whole === "absent") {
    return {
      status: "limited",
      found: "runs four instructions; a whole guest was not tried, as there is no QEMU",
    };
  }
  const how = whole === "hung" ? "hangs" : `fails: ${whole.refused}`;
  return { status: "limited", found: `runs four instructions, but a guest with firmware ${how}` };
}

/** In children with a time limit: a guest that hangs is killed with them. */
export async function probeKvm(
  subprocess: Subprocess,
  node: string,
  arch: string,
  signal: AbortSignal,
): Promise<Finding> {
  const device = existsSync("/dev/kvm");
  if (!device) return kvmFinding(false, "absent", "absent");
  if (arch !== "x64") return kvmFinding(true, "absent", "absent");
  const [small, whole] = await Promise.all([
    outcome(subprocess, node, [guestProgram], 0, signal),
    bootSector(subprocess, signal),
  ]);
  return kvmFinding(true, small, whole);
}

async function bootSector(subprocess: Subprocess, signal: AbortSignal): Promise<GuestOutcome> {
  const disk = bootDisk();
  try {
    const args = ["-accel", "kvm", "-m", "16", "-nodefaults", "-display", "none", "-no-reboot"];
    const devices = [
      "-device",
      "isa-debug-exit,iobase=0xf4,iosize=1",
      "-drive",
      `file=/dev/fd/${firstInherited},format=raw`,
    ];
    return await outcome(subprocess, qemu, [...args, ...devices], bootExitCode, signal, [disk]);
  } finally {
    closeSync(disk);
  }
}

/** An open file without a name: nothing is left of it, whoever is killed. */
function bootDisk(): number {
  const sector = Buffer.alloc(sectorBytes);
  sector.set(bootCode);
  sector.writeUInt16LE(0xaa55, sectorBytes - 2);
  const place = newPlace(tmpdir());
  try {
    const file = join(place, "boot.img");
    writeFileSync(file, sector);
    return openSync(file, "r+");
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function outcome(
  subprocess: Subprocess,
  file: string,
  args: readonly string[],
  wantedCode: number,
  signal: AbortSignal,
  inherit: readonly number[] = [],
): Promise<GuestOutcome> {
  try {
    // One that hangs would keep a processor busy for ever if we were killed before its time is over.
    const { code, stdout, stderr } = await subprocess.run(
      "setpriv",
      ["--pdeathsig", "KILL", file, ...args],
      signal,
      { timeoutMs: guestMsMax, inherit },
    );
    if (code === wantedCode) return "ran";
    if (code === notFoundCode) return "absent";
    const [words = ""] = `${stderr}${stdout}`.trim().split("\n");
    return { refused: words === "" ? `exit code ${code}` : words };
  } catch (cause) {
    signal.throwIfAborted();
    return codeOf(cause) === "timeout" ? "hung" : "absent";
  }
}

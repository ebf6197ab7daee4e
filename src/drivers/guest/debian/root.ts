import { mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { guestScripts } from "#drivers/guest/scripts.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { debianEnabled, debianMasked } from "./contents.ts";

/**
 * Makes a fresh Debian system our guest: the kernel's modules, our scripts, and nothing in it that two guests must not
 * share.
 * @param kernel where the kernel's package is unpacked; its modules are taken out of there
 */
export async function furnishRoot(
  root: string,
  kernel: string,
  release: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(join(root, "usr/lib/modules"), { recursive: true });
  await rename(join(kernel, "lib/modules", release), join(root, "usr/lib/modules", release));
  await subprocess.check("chroot", [root, "depmod", release], signal);
  const ours = [
    { path: "usr/lib/consort/reseed", content: entropyProgram(), mode: 0o755 },
    ...(await guestScripts("debian")),
    { path: "etc/hostname", content: "localhost\n", mode: 0o644 },
    { path: "etc/hosts", content: "127.0.0.1 localhost\n", mode: 0o644 },
    { path: "etc/resolv.conf", content: "", mode: 0o644 },
    // Empty: every guest gets one of its own.
    { path: "etc/machine-id", content: "", mode: 0o444 },
  ];
  for (const { path, content, mode } of ours) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await rm(join(root, path), { force: true });
    await writeFile(join(root, path), content, { mode });
  }
  for (const name of await readdir(join(root, "etc/ssh")))
    if (name.startsWith("ssh_host_")) await rm(join(root, "etc/ssh", name));
  const units = join(root, "etc/systemd/system");
  for (const [unit, target] of debianEnabled) {
    await mkdir(join(units, `${target}.wants`), { recursive: true });
    await symlink(`/etc/systemd/system/${unit}`, join(units, `${target}.wants`, unit));
  }
  for (const unit of debianMasked) {
    await rm(join(units, unit), { force: true });
    await symlink("/dev/null", join(units, unit));
  }
  // What a system does once after it was changed was done when its packages were installed.
  for (const part of ["etc", "var"]) await writeFile(join(root, part, ".updated"), "", { mode: 0o644 });
}

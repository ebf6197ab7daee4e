import { createHash } from "node:crypto";
import { mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { geteuid } from "node:process";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import { treeArchive } from "#drivers/guest/archive-tree.ts";
import { blobOf, buildOnce } from "#drivers/guest/built-guest.ts";
import type { GuestBuild } from "#drivers/guest/built-guest.ts";
import { fetchPackages } from "#drivers/guest/debian-packages.ts";
import type { DebianPackage } from "#drivers/guest/debian-packages.ts";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { unpackedKernel } from "#drivers/guest/kernel-image.ts";
import { knownPackages } from "#drivers/guest/known-packages.ts";
import type { BuildProgress, BuiltGuest, DebianGuestSpec } from "#drivers/guest/port.ts";
import { debianInitrdScript, guestScripts } from "#drivers/guest/scripts.ts";
import { busyboxEntries, kernelRelease, moduleEntries } from "#drivers/guest/unpacked-kernel.ts";
import type { RunOptions, Subprocess } from "#drivers/system/port.ts";
import type { Digest, Image } from "#model/image.ts";
import * as contents from "./contents.ts";
import { furnishRoot } from "./root.ts";

const recipeVersion = 3;
const suiteName = /^[a-z]+$/;
const packageName = /^[a-z0-9][a-z0-9+.-]+$/;

/**
 * A Debian system with systemd, SSH server, guest agent and the packages chosen, on a disk of its own, started with a
 * kernel handed to the machine. The same choice is built once, until Debian's archive has newer packages of those named.
 * @throws forbidden when not root; bad_input for names that are none
 */
export async function buildDebianGuest(
  cache: string,
  spec: DebianGuestSpec,
  onProgress: BuildProgress,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<BuiltGuest> {
  checkSpec(spec);
  onProgress("looking up packages");
  const handed = { kernel: contents.debianKernel, names: contents.debianInitrdPackages };
  const fetched = await knownPackages(cache, handed, subprocess, signal);
  const chosen = { names: [...contents.debianPackages, ...spec.packages] };
  const installed = await knownPackages(cache, chosen, subprocess, signal);
  const build: GuestBuild = {
    kind: "debian",
    inputs: await inputsDigest(spec, [...fetched, ...installed]),
    async make(directory, held) {
      if (geteuid?.() !== 0)
        throw new ConsortError("forbidden", "Cannot build a Debian guest: it takes root, run it with sudo");
      return make({ cache, directory, held, spec, fetched, onProgress, subprocess, signal });
    },
  };
  return buildOnce(cache, build, subprocess, signal);
}

function checkSpec({ suite, packages }: DebianGuestSpec): void {
  const wrong = packages.find((name) => !packageName.test(name));
  if (wrong !== undefined)
    throw new ConsortError(
      "bad_input",
      `Cannot build a Debian guest: ${JSON.stringify(wrong)} is no package`,
    );
  if (!suiteName.test(suite))
    throw new ConsortError("bad_input", `Cannot build a Debian guest: ${JSON.stringify(suite)} is no suite`);
}

async function inputsDigest(spec: DebianGuestSpec, packages: readonly DebianPackage[]): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([recipeVersion, spec, packages, contents])).update(entropyProgram());
  for (const { path, content, mode } of [...(await guestScripts("debian")), await debianInitrdScript()])
    hash.update(`${path} ${mode} ${content.length}\n`).update(content);
  return hash.digest("hex");
}

type Making = {
  readonly cache: string;
  readonly directory: string;
  readonly held: Pick<RunOptions, "inherit">;
  readonly spec: DebianGuestSpec;
  readonly fetched: readonly DebianPackage[];
  readonly onProgress: BuildProgress;
  readonly subprocess: Subprocess;
  readonly signal: AbortSignal;
};

async function make(making: Making): ReturnType<GuestBuild["make"]> {
  const { cache, directory, held, spec, fetched, onProgress, subprocess, signal } = making;
  const root = join(directory, "root");
  const unpacked = join(directory, "unpacked");
  onProgress("installing Debian");
  await installDebian(root, spec, held, subprocess, signal);
  onProgress("unpacking the kernel");
  await mkdir(unpacked);
  for (const file of await fetchPackages(fetched, join(cache, "packages"), subprocess, signal))
    await subprocess.check("dpkg-deb", ["--extract", file, unpacked], signal);
  const release = await kernelRelease(unpacked);
  await writeFile(join(directory, "initrd"), await initrd(unpacked, release, subprocess, signal));
  const packed = await readFile(join(unpacked, `boot/vmlinuz-${release}`));
  await writeFile(join(directory, "kernel"), unpackedKernel(packed));
  onProgress("furnishing it");
  await furnishRoot(root, unpacked, release, subprocess, signal);
  onProgress("writing its disk");
  await writeDisk(root, join(directory, "disk.qcow2"), spec.diskBytes, subprocess, signal);
  await rm(root, { recursive: true });
  await rm(unpacked, { recursive: true });
  onProgress("taking checksums");
  return record(directory, spec, signal);
}

/**
 * In a mount namespace of its own, so that what is mounted below the new root is gone when its programs are, however
 * they end; and they end when we do.
 */
async function installDebian(
  root: string,
  spec: DebianGuestSpec,
  held: Pick<RunOptions, "inherit">,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  const confined = ["--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private"];
  const included = [...contents.debianPackages, ...spec.packages].join(",");
  const without = contents.debianLeftOut.map((path) => `--dpkgopt=path-exclude=${path}`);
  const options = ["--quiet", "--variant=minbase", "--mode=root", `--include=${included}`, ...without];
  await subprocess.check("setpriv", [...confined, "mmdebstrap", ...options, spec.suite, root], signal, {
    ...held,
    env: { SOURCE_DATE_EPOCH: "1", LC_ALL: "C" },
  });
}

async function initrd(
  unpacked: string,
  release: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { path, content, mode } = await debianInitrdScript();
  return treeArchive(
    [
      { path, kind: "file", content, mode },
      ...(await moduleEntries(unpacked, release, contents.debianInitrdModules)),
      ...(await busyboxEntries(unpacked, new Set(), subprocess, signal)),
      { path: "sbin/modprobe", kind: "link", target: "../bin/busybox" },
      { path: "dev/console", kind: "device", mode: 0o600, major: 5, minor: 1 },
    ],
    [["dev"], ["proc"], ["root"], ["sys"]],
  );
}

async function writeDisk(
  root: string,
  disk: string,
  sizeBytes: number,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  const plain = `${disk}.raw`;
  await writeFile(plain, "");
  await truncate(plain, sizeBytes);
  const options = ["-q", "-F", "-m", "0", "-L", "root", "-E", "lazy_itable_init=0,nodiscard", "-d", root];
  await subprocess.check("mkfs.ext4", [...options, plain], signal);
  await subprocess.check("qemu-img", ["convert", "-q", "-f", "raw", "-O", "qcow2", plain, disk], signal);
  await rm(plain);
}

async function record(
  directory: string,
  spec: DebianGuestSpec,
  signal: AbortSignal,
): ReturnType<GuestBuild["make"]> {
  const kernel = await blobOf(join(directory, "kernel"), signal);
  const initialDisk = await blobOf(join(directory, "initrd"), signal);
  const disk = await blobOf(join(directory, "disk.qcow2"), signal);
  const image: Image = {
    name: spec.name,
    role: "base",
    architecture: "amd64",
    disk: { ...disk, format: "qcow2", virtualBytes: bytes(spec.diskBytes) },
    boot: { kind: "kernel", kernel, initrd: initialDisk, commandLine: contents.debianCommandLine },
    features: ["agent", "context"],
    registeredAtMs: 0,
  };
  const names = new Map<Digest, string>([
    [kernel.digest, "kernel"],
    [initialDisk.digest, "initrd"],
    [disk.digest, "disk.qcow2"],
  ]);
  return { image, names };
}

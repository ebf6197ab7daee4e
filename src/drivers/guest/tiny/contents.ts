/** What the tiny guest is made of. Changing any of it makes another guest. */

export const tinyKernel = "linux-image-cloud-amd64";

/** Unpacked, never installed. */
export const tinyPackages: readonly string[] = [
  "busybox-static",
  "dropbear-bin",
  "qemu-guest-agent",
  "libc6",
  "libcrypt1",
  "libglib2.0-0",
  "libgmp10",
  "libnuma1",
  "libpcre2-8-0",
  "libtomcrypt1",
  "libtommath1",
  "libudev1",
  "liburing2",
  "zlib1g",
];

/** Programs, and where they go. */
export const tinyPrograms: readonly (readonly [from: string, to: string])[] = [
  ["usr/sbin/dropbear", "usr/sbin/dropbear"],
  ["usr/bin/dropbearkey", "usr/bin/dropbearkey"],
  ["usr/sbin/qemu-ga", "usr/sbin/qemu-ga"],
];

/** Shared libraries of those programs; all of them go to lib/x86_64-linux-gnu. */
export const tinyLibraries: readonly string[] = [
  "libc.so.6",
  "libcrypt.so.1",
  "libglib-2.0.so.0",
  "libgmodule-2.0.so.0",
  "libgmp.so.10",
  "libm.so.6",
  "libnuma.so.1",
  "libpcre2-8.so.0",
  "libtomcrypt.so.1",
  "libtommath.so.1",
  "libudev.so.1",
  "liburing.so.2",
  "libz.so.1",
];
export const libraryDirectories: readonly string[] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
export const dynamicLinker = "ld-linux-x86-64.so.2";

export const tinyModules: readonly string[] = [
  "virtio_pci",
  "virtio_mmio",
  "virtio_blk",
  "virtio_net",
  "virtio_console",
  "virtio_rng",
  "virtio_balloon",
  "virtio_mem",
  "isofs",
  "squashfs",
  "overlay",
  "button",
  "evdev",
  "pvpanic",
  "pvpanic_pci",
  "qemu_fw_cfg",
];

/**
 * No random numbers are waited for, memory that is plugged in is used, a panic is seen by the machine rather than
 * waited out, and the console is the serial line. What an emulated processor would spend time on without being any
 * safer for it (mitigations, self-tests, security modules nobody configures here, a kernel moved to a secret place from programs that
 * are root all the same) is left out.
 */
export const tinyCommandLine =
  "console=ttyS0 quiet loglevel=3 rdinit=/init net.ifnames=0 panic=-1 random.trust_cpu=on memhp_default_state=online_movable mitigations=off lsm=capability nokaslr cryptomgr.notests";

/** Small files that every Unix program looks for. */
export const tinyFiles: readonly (readonly [path: string, content: string, mode: number])[] = [
  ["etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644],
  ["etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n", 0o644],
  ["etc/shadow", "root:*:1:0:99999:7:::\nnobody:*:1:0:99999:7:::\n", 0o600],
  ["etc/shells", "/bin/sh\n", 0o644],
  ["etc/hosts", "127.0.0.1 localhost\n", 0o644],
  ["etc/profile", "export PATH=/usr/sbin:/usr/bin:/sbin:/bin PS1='\\h:\\w\\$ '\n", 0o644],
  ["etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644],
  ["etc/acpi/PWRF/00000080", "#!/bin/busybox sh\nexec /sbin/shutdown -P\n", 0o755],
];

export const tinyDirectories: readonly (readonly [path: string, mode?: number])[] = [
  ["dev"],
  ["etc/dropbear", 0o700],
  ["home"],
  ["mnt"],
  ["opt"],
  ["proc"],
  ["root", 0o700],
  ["run"],
  ["sys"],
  ["tmp", 0o1777],
  ["var/log"],
  ["var/run"],
];

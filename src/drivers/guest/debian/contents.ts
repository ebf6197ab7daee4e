/** What the Debian guest is made of, beside the packages its user chose. */

export const debianKernel = "linux-image-cloud-amd64";
export const debianInitrdPackages: readonly string[] = ["busybox-static"];

export const debianPackages: readonly string[] = [
  "systemd",
  "systemd-sysv",
  "udev",
  "kmod",
  "dbus",
  "openssh-server",
  "qemu-guest-agent",
  "iproute2",
];

/** Enough to find and mount the root disk; the rest is on it. */
export const debianInitrdModules: readonly string[] = ["virtio_pci", "virtio_mmio", "virtio_blk"];

export const debianCommandLine =
  "console=ttyS0 quiet rdinit=/init net.ifnames=0 panic=-1 random.trust_cpu=on memhp_default_state=online_movable cryptomgr.notests systemd.show_status=no";

/** Nobody reads these inside a guest of a cloud. */
export const debianLeftOut: readonly string[] = [
  "/usr/share/doc/*",
  "/usr/share/man/*",
  "/usr/share/locale/*",
  "/usr/share/info/*",
];

/** Units that are wanted at the start, and by which target. */
export const debianEnabled: readonly (readonly [unit: string, target: string])[] = [
  ["consort-context.service", "multi-user.target"],
  ["consort-listen.service", "multi-user.target"],
  ["consort-console.service", "multi-user.target"],
];

/**
 * Nobody is asked for a password at the console, nothing is upgraded behind anybody's back, no file system needs a check at night,
 * randomness is the host's to give. Of the rest, what a boot mounts and loads for those few who look for it: a module is
 * loaded when it is used, and each program of a boot takes a quarter of a second in an emulated machine.
 */
export const debianMasked: readonly string[] = [
  "getty@tty1.service",
  "serial-getty@ttyS0.service",
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "dpkg-db-backup.timer",
  "systemd-pstore.service",
  "systemd-random-seed.service",
  "systemd-update-utmp.service",
  "systemd-update-utmp-runlevel.service",
  "dev-hugepages.mount",
  "sys-fs-fuse-connections.mount",
  "sys-kernel-config.mount",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "modprobe@configfs.service",
  "modprobe@dm_mod.service",
  "modprobe@drm.service",
  "modprobe@fuse.service",
  "modprobe@loop.service",
];

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import { clock } from "../test/task/host.ts";
import { cellBridge, openPeerCell, wantPrograms } from "./peer-cell.ts";
import type { PeerCell } from "./peer-cell.ts";
import type { PeerGuest } from "./peer-guest.ts";

/** On the network of the cell's bridge. */
const otherAddress = "10.9.0.253";

/**
 * Of the directory $1: libvirt's daemon with settings, state, sockets and log of its own. Its own confinement of guests wants a machine with
 * systemd's control groups. Where it finds /dev/kvm it looks at QEMU anew for each guest until that works; here guests
 * are emulated, as ours are, so it finds none. User and group are those Debian's package of its unit files would make.
 */
/** Beside those of version 1 it takes a version 2 without controllers for one that has them all. */
const hybridHidden = "umount -l /sys/fs/cgroup/unified 2>/dev/null || true\n";

const daemonWith = (controllers: readonly string[]): string => `directory=$1
${controllers.length === 0 ? "" : hybridHidden}for place in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt; do
  mkdir -p $place; mount -t tmpfs libvirt $place
done
for each in passwd group; do
  cp /etc/$each $directory/$each; mount --bind $directory/$each /etc/$each
done
grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin >>/etc/passwd
grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055: >>/etc/group
mkdir $directory/dev; mount --rbind /dev $directory/dev; mount -t tmpfs dev /dev
mkdir /dev/net /dev/pts /dev/shm
for each in null zero full random urandom net/tun; do
  touch /dev/$each; mount --bind $directory/dev/$each /dev/$each
done
mount --rbind $directory/dev/pts /dev/pts; ln -s pts/ptmx /dev/ptmx
cat >/etc/libvirt/qemu.conf <<SETTINGS
namespaces = []
cgroup_controllers = [${controllers.map((name) => `"${name}"`).join(", ")}]
security_driver = "none"
user = "root"
group = "root"
stdio_handler = "file"
SETTINGS
cat >/etc/libvirt/libvirtd.conf <<SETTINGS
unix_sock_dir = "$directory"
auth_unix_rw = "none"
log_outputs = "4:file:$directory/log"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
SETTINGS
libvirtd --config /etc/libvirt/libvirtd.conf --pid-file $directory/pid 2>$directory/said &
`;

const daemon = daemonWith([]);

/** Another host for it: namespaces of its own within the cell's, and a cable from bridge to bridge. */
const otherHost = `set -e
mkdir $1
mount --make-rprivate /
mount -t sysfs sysfs /sys
hostname other
ip link set lo up
ip link add ${cellBridge} type bridge; ip addr add ${otherAddress}/24 dev ${cellBridge}; ip link set ${cellBridge} up
${daemon}
touch $1/ready
wait`;
const cable = `ip link add here type veth peer name there netns $1
ip link set here master ${cellBridge} up
nsenter --target=$1 --net ip link set there master ${cellBridge} up`;

/** A directory that each host has for itself under the same path. */
export const ownDirectory = "/var/lib/libvirt";

const startMsMax = 30_000;
const pollMs = millis(20);

export type Libvirt = AsyncDisposable & {
  readonly cell: PeerCell;
  /** What its client prints. */
  readonly virsh: (words: readonly string[], signal: AbortSignal) => Promise<string>;
};

/**
 * Resolves when it has found out what QEMU can do. `controllers`: of control groups, that it may limit guests by; none
 * unless told. @throws with its own words when it does not run here
 */
export async function openLibvirt(
  signal: AbortSignal,
  controllers: readonly string[] = [],
): Promise<Libvirt> {
  await wantPrograms(["libvirtd", "virsh"], signal);
  await using undo = new AsyncDisposableStack();
  const cell = undo.use(await openPeerCell(daemonWith(controllers), signal));
  const virsh = await answering(cell, cell.directory, signal);
  const owned = undo.move();
  return { cell, virsh, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export type OtherHost = Pick<Libvirt, "virsh"> & {
  /** What the first one's client calls it. */
  readonly uri: string;
  readonly address: string;
  /** A program there. */
  run(file: string, words: readonly string[], signal: AbortSignal): Promise<string>;
};

/** A second host in the same cell, with a daemon of its own; it ends with the cell. */
export async function openOtherHost({ cell }: Libvirt, signal: AbortSignal): Promise<OtherHost> {
  const home = join(cell.directory, "other");
  const apart = `unshare --mount --net --uts sh -c "$1" sh "$2" </dev/null >/dev/null 2>&1 & echo $!`;
  const pid = (await cell.run("sh", ["-c", apart, "sh", otherHost, home], signal)).trim();
  const virsh = await answering(cell, home, signal);
  await cell.run("sh", ["-ec", cable, "sh", pid], signal);
  return {
    virsh,
    uri: uriOf(home),
    address: otherAddress,
    run: (file, words, stop) =>
      cell.run("nsenter", [`--target=${pid}`, "--mount", "--net", "--", file, ...words], stop),
  };
}

const uriOf = (home: string): string => `qemu+unix:///system?socket=${join(home, "libvirt-sock")}`;

/** The client of the daemon whose directory is `home`: who asks from outside of the cell gets no answer. */
async function answering(cell: PeerCell, home: string, signal: AbortSignal): Promise<Libvirt["virsh"]> {
  const giveUp = performance.now() + startMsMax;
  while (!existsSync(join(home, "libvirt-sock"))) {
    if (performance.now() > giveUp) {
      const said = ["said", "log"].map((name) => textOf(join(home, name)));
      throw new Error(`libvirtd does not start here: ${said.join("").trim().split("\n").at(-1)}`);
    }
    await clock.sleep(pollMs, signal);
  }
  const virsh: Libvirt["virsh"] = (words, stop) =>
    cell.run("virsh", ["-q", "-c", uriOf(home), ...words], stop);
  await virsh(["domcapabilities", "--virttype", "qemu"], signal);
  return virsh;
}

const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");

/** As its users write it: q35, one processor, emulated, what our machines have of devices. */
export function domainXml(guest: PeerGuest, memoryMib: number, disk?: string): string {
  const drive = (file: string, format: string, target: string, rest: string): string =>
    `<disk type="file" device="disk"><driver name="qemu" type="${format}"/><source file="${file}"/><target dev="${target}" bus="virtio"/>${rest}</disk>`;
  return `<domain type="qemu">
  <name>${guest.name}</name>
  <memory unit="MiB">${memoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>${guest.kernel}</kernel>
    <initrd>${guest.initrd}</initrd>
    <cmdline>${guest.commandLine}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode="maximum"/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${drive(guest.contextFile, "raw", "vda", "<readonly/><serial>cidata</serial>")}
    ${disk === undefined ? "" : drive(disk, "qcow2", "vdb", "")}
    <controller type="usb" model="none"/>
    <interface type="bridge">
      <mac address="${guest.mac}"/><source bridge="${cellBridge}"/><model type="virtio"/><rom enabled="no"/>
    </interface>
    <serial type="null"/>
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
    <memballoon model="virtio"/>
  </devices>
</domain>
`;
}

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import { clock } from "../test/task/host.ts";
import { cellBridge, openPeerCell, wantPrograms } from "./peer-cell.ts";
import type { PeerCell } from "./peer-cell.ts";
import type { PeerGuest } from "./peer-guest.ts";

/**
 * libvirt's daemon with settings, state, sockets and log of its own. Its own confinement of guests wants a machine with
 * systemd's control groups. Where it finds /dev/kvm it looks at QEMU anew for each guest until that works; here guests
 * are emulated, as ours are, so it finds none. User and group are those Debian's package of its unit files would make.
 */
const setUp = `for place in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt; do
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
cgroup_controllers = []
security_driver = "none"
user = "root"
group = "root"
stdio_handler = "file"
SETTINGS
cat >/etc/libvirt/libvirtd.conf <<SETTINGS
unix_sock_dir = "$directory"
auth_unix_rw = "none"
log_outputs = "2:file:$directory/log"
SETTINGS
libvirtd --config /etc/libvirt/libvirtd.conf --pid-file $directory/pid 2>$directory/said &
`;

const startMsMax = 30_000;
const pollMs = millis(20);

export type Libvirt = AsyncDisposable & {
  readonly cell: PeerCell;
  /** What its client prints. */
  virsh(words: readonly string[], signal: AbortSignal): Promise<string>;
};

/** Resolves when it has found out what QEMU can do. @throws with its own words when it does not run here */
export async function openLibvirt(signal: AbortSignal): Promise<Libvirt> {
  await wantPrograms(["libvirtd", "virsh"], signal);
  await using undo = new AsyncDisposableStack();
  const cell = undo.use(await openPeerCell(setUp, signal));
  const socket = join(cell.directory, "libvirt-sock");
  const giveUp = performance.now() + startMsMax;
  while (!existsSync(socket)) {
    if (performance.now() > giveUp) {
      const said = ["said", "log"]
        .map((name) => textOf(join(cell.directory, name)))
        .join("")
        .trim();
      throw new Error(`libvirtd does not start here: ${said.split("\n").at(-1)}`);
    }
    await clock.sleep(pollMs, signal);
  }
  // Whoever asks from outside of its namespaces gets no answer.
  const client = ["-q", "-c", `qemu+unix:///system?socket=${socket}`];
  const virsh: Libvirt["virsh"] = (words, stop) => cell.run("virsh", [...client, ...words], stop);
  await virsh(["domcapabilities", "--virttype", "qemu"], signal);
  const owned = undo.move();
  return { cell, virsh, [Symbol.asyncDispose]: () => owned.disposeAsync() };
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

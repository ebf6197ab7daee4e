import { readFileSync, readdirSync } from "node:fs";

/** A Perl program that ends when each host it is given has said which SSH it speaks. */
export const reaching = `
use IO::Socket::INET; use Time::HiRes qw(sleep);
for my $name (@ARGV) {
  while (1) {
    my $s = IO::Socket::INET->new(PeerAddr => "$name:22", Timeout => 1);
    my $said = $s ? <$s> : undef;
    last if defined $said && $said =~ /^SSH/;
    sleep 0.01;
  }
}`;

/** Of the QEMU of the guest with this name; what several map counts for each of them in part. */
export function shareMiB(hostname: string): number {
  const pid = readdirSync("/proc").find(
    (name) => /^\d+$/.test(name) && commandOf(name).includes(`guest=${hostname},`),
  );
  const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

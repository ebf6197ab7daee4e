import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { netnsName, netnsPath } from "#lab/names.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Rig } from "../test/rig/rig.ts";
import { ensembleOf } from "./managed-lab.ts";

/**
 * MPI between appliances. Each runs a small remote shell, which mpirun uses in place of ssh to start ranks, over the
 * ensemble's own network; and by which we start mpirun without any manager taking part.
 */
const port = 5140;
const subprocess = systemSubprocess();

export type MpiRun = (program: string, signal: AbortSignal) => Promise<string>;

/** One rank on each host. */
export function mpiEnsemble(hosts: readonly string[]): Ensemble {
  return ensembleOf(`
ensemble: mpi
x-rank: &rank
  command: [perl, /srv/shell.pl]
  memory: 256MiB
  files:
    /srv/shell.pl: |
      ${indented(serverProgram)}
    /srv/ask.pl: |
      ${indented(clientProgram)}
appliances:
${hosts.map((host, index) => `  ${rankName(index)}: { <<: *rank, hosts: [${host}] }`).join("\n")}
`);
}

const rankName = (index: number): string => `rank-${index}`;
const indented = (text: string): string => text.trim().replaceAll("\n", "\n      ");

/** Starts mpirun in the first rank's appliance; resolves with what it printed. */
export async function mpiIn(rig: Rig, ensemble: Ensemble, signal: AbortSignal): Promise<MpiRun> {
  const { appliances } = await rig.status(ensemble.name, signal);
  const first = appliances.find((one) => one.name === rankName(0));
  const address = first?.addresses[0]?.address;
  if (first?.host === undefined || address === undefined) throw new Error("the first rank is nowhere");
  const netns = await netnsWith(address, netnsName(rig.lab, first.host), signal);
  const hosts = ensemble.appliances.map((one) => one.name).join(",");
  const options = [
    ["--mca", "plm_rsh_agent", "'perl /srv/ask.pl'", "--mca", "plm_rsh_no_tree_spawn", "1"],
    ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "eth0"],
    ["--mca", "oob_tcp_if_include", "eth0", "--mca", "mpi_yield_when_idle", "1"],
    ["-np", String(ensemble.appliances.length), "--host", hosts, "-wdir", "/tmp"],
  ].flat();
  return async (program, stop) => {
    const command = `cd /tmp && HOME=/tmp TMPDIR=/tmp mpirun ${options.join(" ")} ${program} 2>&1; echo "exit code $?"`;
    const output = await askThere(netns, address, command, stop);
    if (output.trimEnd().endsWith("exit code 0")) return output;
    throw new ConsortError("driver_failed", `Cannot run ${program}: ${output.slice(-2000)}`);
  };
}

/** The network namespace of the appliance that has the address. */
async function netnsWith(address: string, prefix: string, signal: AbortSignal): Promise<string> {
  for (const name of readdirSync("/run/netns").filter((one) => one.startsWith(`${prefix}.`))) {
    const { stdout } = await subprocess.run("ip", ["-n", name, "-o", "-4", "address"], signal);
    if (stdout.includes(` ${address}/`)) return netnsPath(name);
  }
  throw new Error(`no appliance of ${prefix} has ${address}`);
}

async function askThere(
  netns: string,
  address: string,
  command: string,
  signal: AbortSignal,
): Promise<string> {
  const args = [`--net=${netns}`, "perl", "-e", clientProgram, "--", address, command];
  const child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"], signal });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(child, "close", { signal });
  return Buffer.concat(chunks).toString();
}

const serverProgram = `
use strict;
use IO::Socket::INET;
$SIG{CHLD} = "IGNORE";
my $server = IO::Socket::INET->new(LocalPort => ${port}, Listen => 9, ReuseAddr => 1) or die "cannot listen: $!";
while (1) {
  my $caller = $server->accept or next;
  if (!fork) {
    $SIG{CHLD} = "DEFAULT";
    my $command = <$caller>;
    open STDOUT, ">&", $caller; open STDERR, ">&", $caller; open STDIN, "<", "/dev/null";
    close $server; close $caller;
    exec "sh", "-c", $command;
  }
  close $caller;
}
`;

/** HOST COMMAND…, as ssh takes them. */
const clientProgram = `
use strict;
use IO::Socket::INET;
my $host = shift @ARGV;
my $there = IO::Socket::INET->new(PeerAddr => $host, PeerPort => ${port}) or die "cannot reach $host: $!";
$there->autoflush(1);
print $there "@ARGV\\n";
while (<$there>) { print }
`;

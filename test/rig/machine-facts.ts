import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";

/**
 * What a lab, or anything that ran in it, could leave on this machine, as lines to be compared: compare them before
 * and after. Other labs may come and go meanwhile, so what a name can tell apart is told apart.
 */
export async function machineFacts(lab: string): Promise<string[]> {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const trees = mounts
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith("/sys/fs/cgroup"));
  return [
    ...filesIn("/run/netns")
      .filter((name) => name.startsWith(`cst-${lab}-`))
      .map((name) => `namespace ${name}`),
    ...linesOf("ip", "-o", "link", "show").filter((line) => / cst/.test(line)),
    ...linesOf("ip", "rule", "show"),
    ...linesOf("nft", "list", "tables").filter((line) => / (cst|consort)/.test(line)),
    ...trees.flatMap((tree) => filesIn(`${tree}/consort/${lab}`).map((name) => `group ${tree} ${name}`)),
    ...mounts.filter((line) => line.includes(`/labs/${lab}`) || line.includes(`cst-${lab}-`)),
    ...filesIn("/proc").flatMap((name) => processOf(Number(name), lab)),
    ...(await deadSockets("/run/wireguard")),
  ].sort();
}

function linesOf(file: string, ...args: string[]): string[] {
  return execFileSync(file, args, { encoding: "utf8" }).split("\n").filter(Boolean);
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function processOf(pid: number, lab: string): string[] {
  if (!Number.isInteger(pid) || pid === process.pid) return [];
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    // Ended already, and only not collected yet.
    if (command === "") return [];
    const isOfLab = groups.includes(`/consort/${lab}/`) || command.includes(`/labs/${lab}/`);
    return isOfLab ? [`process ${pid} ${command}`] : [];
  } catch {
    return [];
  }
}

/** Sockets in the file system that nobody listens on any more. */
async function deadSockets(directory: string): Promise<string[]> {
  const dead: string[] = [];
  for (const name of filesIn(directory)) {
    const line = connect(`${directory}/${name}`);
    try {
      await once(line, "connect");
    } catch {
      dead.push(`dead socket ${name}`);
    }
    line.destroy();
  }
  return dead;
}

import type { Subprocess } from "#drivers/system/port.ts";
import {
  doneAlias,
  forwards,
  nodeIpBatch,
  nodeJoinBatch,
  nodeResetBatch,
  nodeTcBatch,
  rootBatch,
} from "#lab/commands.ts";
import type { Cable, LabLayout, LabNode } from "#lab/layout.ts";
import { netnsName, netnsPath } from "#lab/names.ts";
import { writeResolvers } from "#lab/resolvers.ts";
import { isNamespace, linksIn, markedNamespaces, removeNamespaces } from "#lab/namespaces.ts";

/** More at once than cores only costs switches between them; a few, as each spends its time in the kernel. */
const parallelMax = 4;

type Links = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * Makes the layout's namespaces, cables, addresses, routes and shapers exist. What is complete already is adopted
 * untouched, traffic through it goes on; what a killed run left half made is made whole.
 * @param lockFd the lab's lock, which the program that creates namespaces holds on to
 */
export async function buildNetwork(
  lab: string,
  layout: LabLayout,
  lockFd: number,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  writeResolvers(
    lab,
    layout.nodes.flatMap(({ id, kind }) => (kind === "host" ? [id] : [])),
  );
  const present = await observe(lab, layout, subprocess, signal);
  const missing = layout.nodes.filter(({ id }) => !present.has(id)).map(({ id }) => id);
  const has = (end: Cable["a"]): boolean => present.get(end.node)?.has(end.interface) === true;
  const cables = layout.cables.filter(({ a, b }) => !has(a) || !has(b));
  const torn = cables.flatMap(({ a, b }) => [a, b]).filter(has);
  for (const { node, interface: name } of torn) {
    await subprocess.run("ip", ["-n", netnsName(lab, node), "link", "del", name], signal);
  }
  const lines = rootBatch(lab, missing, cables);
  if (lines.length > 0) {
    await subprocess.check("ip", ["-batch", "-"], signal, { input: text(lines), inherit: [lockFd] });
  }
  const remade = new Set(
    cables.flatMap(({ a, b }) => [`${a.node} ${a.interface}`, `${b.node} ${b.interface}`]),
  );
  await inParallel(layout.nodes, (node) =>
    configure(lab, node, present, (name) => remade.has(`${node.id} ${name}`), subprocess, signal),
  );
}

async function observe(
  lab: string,
  layout: LabLayout,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<Links> {
  const names = new Set(markedNamespaces(lab));
  const marked = layout.nodes.filter(({ id }) => names.has(netnsName(lab, id)));
  const torn = marked.map(({ id }) => netnsName(lab, id)).filter((name) => !isNamespace(name));
  await removeNamespaces(torn, subprocess, signal);
  const whole = marked.filter(({ id }) => !torn.includes(netnsName(lab, id)));
  const found = new Map<string, ReadonlyMap<string, string>>();
  await inParallel(whole, async ({ id }) => {
    found.set(id, await linksIn(netnsName(lab, id), subprocess, signal));
  });
  return found;
}

async function configure(
  lab: string,
  node: LabNode,
  present: Links,
  wasRemade: (name: string) => boolean,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  const netns = netnsName(lab, node.id);
  const links = present.get(node.id);
  const todo = node.interfaces.filter(({ name }) => links?.get(name) !== doneAlias || wasRemade(name));
  const whole = links?.get("lo") === doneAlias;
  if (todo.length === 0 && whole) return;
  if (links !== undefined) {
    const shapers = todo
      .filter(({ name }) => !wasRemade(name))
      .map(({ name }) => `qdisc del dev ${name} root`);
    // One that was complete only gets its new cables: what goes through it does not notice.
    await subprocess.run("ip", ["-n", netns, "-force", "-batch", "-"], signal, {
      input: text(whole ? [] : nodeResetBatch(node)),
    });
    await subprocess.run("tc", ["-n", netns, "-force", "-batch", "-"], signal, { input: text(shapers) });
  }
  await subprocess.check("tc", ["-n", netns, "-batch", "-"], signal, {
    input: text(nodeTcBatch(node, todo)),
  });
  if (forwards(node)) {
    const settings = [
      "net.ipv4.ip_forward=1",
      "net.ipv4.conf.all.send_redirects=0",
      // What a relay writes back comes in by another device than its source would be reached by.
      "net.ipv4.conf.all.rp_filter=0",
      "net.ipv4.conf.default.rp_filter=0",
    ];
    await subprocess.check("nsenter", [`--net=${netnsPath(netns)}`, "sysctl", "-qw", ...settings], signal);
  }
  // A switch's bridge is made anew, so all its ports join again; elsewhere only what is new is touched.
  const joining = node.kind === "switch" && !whole ? node.interfaces : todo;
  await subprocess.check("ip", ["-n", netns, "-batch", "-"], signal, {
    input: text(whole ? nodeJoinBatch(node, joining) : nodeIpBatch(node, joining)),
  });
}

const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  const workers = Array.from({ length: Math.min(parallelMax, items.length) }, worker);
  // Nothing may still be at work when the caller learns of a failure and lets go of the lock.
  const failed = (await Promise.allSettled(workers)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

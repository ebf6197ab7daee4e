import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes, formatDuration, millis } from "#base/units.ts";
import { partsOf } from "#cli/adapt.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { formatTable, printable } from "#cli/table.ts";
import type { Column } from "#cli/table.ts";
import type {
  Checkpoints,
  CheckpointRequestStatus,
  CheckpointStatus,
  StoreLeftover,
} from "#protocol/http/checkpoint.ts";
import type { EnsembleStatus } from "#protocol/http/status.ts";

export const command: Command = {
  usage: ["checkpoint NAME/APPLIANCE", "checkpoint NAME [--together]", "checkpoint ls [NAME]"],
  options: {
    ...apiOptions,
    together: { about: "Of all machines of the ensemble at the same moment" },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Takes a checkpoint of virtual machines now: their memory, their devices and what they have written to their disks,\nas far as it has changed since the last one. They run on; each stands still for some hundredths of a second. It is\ncomplete once as many other hosts have a copy as the ensemble's file says (one, where it says nothing), or its store has.",
    "With --together all are held until the last of them is, so that together they can be restored to one moment.",
    "ls: the complete ones that are kept, of one ensemble or of all. See consort restore, and `checkpoint` in the\nensemble's file for those that are taken again and again.",
  ],
  examples: [
    { line: "consort checkpoint shop/db", what: "one machine" },
    { line: "consort checkpoint shop --together", what: "all of an ensemble, at one moment" },
    { line: "consort checkpoint ls shop", what: "what there is" },
  ],
  takes: [1, 2],
  run(given, context) {
    const [subject = "", name] = given.positionals;
    if (subject === "ls") return list(name, given, context);
    if (name !== undefined) {
      throw new ConsortError(
        "bad_input",
        `Cannot take a checkpoint of ${subject} ${name}: one of them was wanted`,
      );
    }
    return takeNow(subject, given, context);
  },
};

/** Between two looks whether it is complete. */
const lookMs = millis(100);

async function takeNow(subject: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const { ensemble, appliances } = partsOf(subject);
  const body = { appliances, together: given.has("together") };
  const where = route`/v1/ensembles/${ensemble}/checkpoints`;
  let request = await client.request<CheckpointRequestStatus>("POST", where, context.signal, body);
  while (request.state === "taking" && !given.has("detach")) {
    await context.clock.sleep(lookMs, context.signal);
    const { requests } = await client.request<Checkpoints>("GET", where, context.signal);
    request = requests.find(({ id }) => id === request.id) ?? request;
  }
  if (request.state === "failed") {
    const why = (request.message ?? "it failed").replace(/^Cannot take a checkpoint: /, "");
    throw new ConsortError("driver_failed", `Cannot take a checkpoint of ${subject}: ${why}`);
  }
  if (given.has("json")) context.terminal.out(`${JSON.stringify(request, undefined, 2)}\n`);
  else if (request.state === "taking") context.terminal.out(`${request.id}: accepted\n`);
  else await show(client, ensemble, context, ({ id }) => id === request.id);
  return 0;
}

async function list(name: string | undefined, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const names = name === undefined ? await ensembles(client, context) : [name];
  const found = await Promise.all(names.map((one) => lookAt(client, one, context)));
  const all = found.flatMap(({ checkpoints }) => checkpoints);
  if (given.has("json")) context.terminal.out(`${JSON.stringify(all, undefined, 2)}\n`);
  else {
    print(all, context);
    for (const one of found.flatMap(({ leftovers }) => leftovers))
      context.terminal.out(`${printable(leftoverLine(one))}\n`);
  }
  return 0;
}

async function ensembles(client: Client, context: CommandContext): Promise<string[]> {
  const all = await client.request<EnsembleStatus[]>("GET", "/v1/ensembles", context.signal);
  return all.map(({ name }) => name);
}

function lookAt(client: Client, name: string, context: CommandContext): Promise<Checkpoints> {
  return client.request<Checkpoints>("GET", route`/v1/ensembles/${name}/checkpoints`, context.signal);
}

const leftoverLine = ({ appliance, place, host, sinceMs, message }: StoreLeftover): string => {
  const what = sinceMs === undefined ? "what is not needed any more" : "all that is there";
  return `${appliance}: ${host} removes ${what} from ${place}${message === undefined ? "" : `: ${message}`}`;
};

async function show(
  client: Client,
  ensemble: string,
  context: CommandContext,
  isMeant: (one: CheckpointStatus) => boolean,
): Promise<void> {
  print((await lookAt(client, ensemble, context)).checkpoints.filter(isMeant), context);
}

function print(all: readonly CheckpointStatus[], { terminal, clock }: CommandContext): void {
  if (all.length === 0) {
    terminal.out("No checkpoint is complete.\n");
    return;
  }
  const columns: readonly Column<CheckpointStatus>[] = [
    { heading: "APPLIANCE", cell: ({ appliance }) => appliance },
    { heading: "CHECKPOINT", cell: ({ id }) => id },
    { heading: "AGE", cell: ({ takenAtMs }) => ageOf(clock.now() - takenAtMs), right: true },
    { heading: "SIZE", cell: ({ storedBytes }) => formatBytes(bytes(storedBytes)), right: true },
    { heading: "HELD", cell: ({ pauseMs }) => formatDuration(millis(Math.round(pauseMs))), right: true },
    { heading: "AFTER", cell: ({ after }) => after ?? "-", optional: true },
    { heading: "GROUP", cell: ({ group }) => group ?? "-", optional: true },
    { heading: "COPIES", cell: ({ copies, store }) => store ?? copies.join(", ") },
  ];
  terminal.out(formatTable(columns, all, lineWidth(terminal)));
}

const ageOf = (ms: number): string => formatDuration(millis(Math.max(0, Math.round(ms / 1000) * 1000)));

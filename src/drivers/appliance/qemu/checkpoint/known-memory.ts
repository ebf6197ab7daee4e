import { readFileSync } from "node:fs";
import type { BlobStore } from "#drivers/blob/port.ts";
import { chainOf } from "#model/checkpoint-chain.ts";
import type { Checkpoint, CheckpointPart } from "#model/checkpoint.ts";
import { mergedMemory } from "./merge.ts";
import { PageTable } from "./page-table.ts";

/** What is known on this host of a machine's memory at a checkpoint, so that another one needs only what differs. */
export type KnownMemory = {
  /** The table of its pages, if the checkpoint was taken here, and by the newest that was. */
  readonly tableFile: string;
  /** Else it is made from the memory itself: its parts, the newest first. Empty: some are not here. */
  readonly parts: readonly (CheckpointPart & { readonly path: string })[];
};

export function knownMemory(
  { id, appliance }: Pick<Checkpoint, "id" | "appliance">,
  all: readonly Checkpoint[],
  parts: {
    readonly tableFile: (appliance: Checkpoint["appliance"], checkpoint: string) => string;
    readonly blobs: Pick<BlobStore, "has" | "path">;
  },
): KnownMemory {
  const memory = (chainOf(id, all) ?? []).map((one) => one.memory);
  const here = memory.filter((part) => part !== undefined && parts.blobs.has(part.digest));
  return {
    tableFile: parts.tableFile(appliance, id),
    parts:
      here.length < memory.length
        ? []
        : here.flatMap((part) =>
            part === undefined ? [] : { ...part, path: parts.blobs.path(part.digest) },
          ),
  };
}

/** What every page was then; undefined: it cannot be told, so all of a memory counts as changed. */
export async function tableOf(known: KnownMemory): Promise<PageTable | undefined> {
  return tableIn(known.tableFile) ?? (await tableOfMemory(known).catch(() => undefined));
}

function tableIn(file: string): PageTable | undefined {
  try {
    return PageTable.parse(readFileSync(file));
  } catch {
    return undefined;
  }
}

async function tableOfMemory({ parts }: KnownMemory): Promise<PageTable | undefined> {
  const paths = new Map(parts.map(({ digest, path }) => [digest, path]));
  const blobs: Pick<BlobStore, "path"> = { path: (digest) => paths.get(digest) ?? "" };
  let table: PageTable | undefined;
  for await (const records of mergedMemory(parts, blobs, new AbortController().signal)) {
    for (const record of records) {
      if (record.kind === "head") table = new PageTable(record.blocks);
      else if (record.kind === "page") table?.changed(record.block, record.page, record.data);
      else if (record.kind === "zeros") {
        for (let at = 0; at < record.count; at += 1) table?.zeroed(record.block, record.first + at);
      }
    }
  }
  return table;
}

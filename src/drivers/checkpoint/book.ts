import { mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ApplianceId } from "#base/ids.ts";
import type { ChainRecord } from "#drivers/checkpoint/chain-record.ts";

/**
 * Records of checkpoints on a host's disk, each replaced whole: a death at any byte leaves the old one or the new one.
 *
 *   <directory>/<appliance, encoded>/chain.json
 *   <directory>/<appliance, encoded>/<checkpoint>.pages      what its memory was like (PageTable)
 */
export class CheckpointBook {
  readonly #directory: string;
  readonly #chains = new Map<ApplianceId, ChainRecord>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#directory)) {
      const text = await readFile(join(this.#directory, name, "chain.json"), "utf8").catch(() => undefined);
      if (text === undefined) continue;
      const record = JSON.parse(text) as ChainRecord;
      this.#chains.set(record.appliance, record);
    }
  }

  chains(): readonly ChainRecord[] {
    return [...this.#chains.values()];
  }

  chain(appliance: ApplianceId): ChainRecord {
    return this.#chains.get(appliance) ?? { appliance, taken: [] };
  }

  async write(record: ChainRecord): Promise<void> {
    const folder = this.#folder(record.appliance);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await replaceFile(join(folder, "chain.json"), JSON.stringify(record));
    this.#chains.set(record.appliance, record);
  }

  tableFile(appliance: ApplianceId, checkpoint: string): string {
    return join(this.#folder(appliance), `${checkpoint}.pages`);
  }

  async writeTable(appliance: ApplianceId, checkpoint: string, table: Uint8Array): Promise<void> {
    await mkdir(this.#folder(appliance), { recursive: true, mode: 0o700 });
    await replaceFile(this.tableFile(appliance, checkpoint), table);
  }

  /** All tables but this one's. */
  async removeTables(appliance: ApplianceId, but: string): Promise<void> {
    const folder = this.#folder(appliance);
    for (const name of await readdir(folder).catch(() => [])) {
      if (name.includes(".pages") && name !== `${but}.pages`) await rm(join(folder, name), { force: true });
    }
  }

  /** What is written while it is being removed is known again afterwards. */
  async remove(appliance: ApplianceId): Promise<void> {
    const record = this.#chains.get(appliance);
    this.#chains.delete(appliance);
    try {
      await rm(this.#folder(appliance), { recursive: true, force: true });
    } catch (cause) {
      if (record !== undefined && !this.#chains.has(appliance)) this.#chains.set(appliance, record);
      throw cause;
    }
  }

  #folder(appliance: ApplianceId): string {
    return join(this.#directory, encodeURIComponent(appliance));
  }
}

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}

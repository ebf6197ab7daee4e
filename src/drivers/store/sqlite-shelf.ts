import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, StatementSync } from "node:sqlite";
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { KeyChange } from "#drivers/store/commit-check.ts";
import { historyCut } from "#drivers/store/history-cut.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import type { Shelf, ShelfChange, ShelfRow } from "#drivers/store/shelf.ts";

/** SQLITE_BUSY: another process holds the exclusive lock. The kernel drops it when that process dies. */
const sqliteBusy = 5;

const format = 1;

const schema = `
  create table if not exists entry (
    key text primary key, text text not null, revision integer not null, lease text
  ) strict, without rowid;
  create index if not exists entry_lease on entry (lease) where lease is not null;
  create table if not exists history (
    revision integer not null, seq integer not null, key text not null, text text,
    primary key (revision, seq)
  ) strict, without rowid;
  create table if not exists lease (id text primary key, ttl_ms integer not null) strict, without rowid;
  create table if not exists mark (name text primary key, value integer not null) strict, without rowid;
  insert or ignore into mark values ('format', ${format}), ('revision', 0), ('forgotten', 0);
`;

/**
 * Rows in one SQLite file. A commit is one transaction, written and flushed to the write-ahead log before it
 * returns; what a dying process left half written fails its checksum and is dropped at the next open.
 */
export class SqliteShelf implements Shelf {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #revision: number;
  #forgotten: number;
  #historyBytes: number;

  /** @throws `conflict` when another process has the file open; `driver_failed` when it is no store of ours. */
  constructor(path: string) {
    this.#database = openDatabase(path);
    if (this.#mark("format") !== format) {
      this.#database.close();
      throw new ConsortError("unsupported", `Cannot open the store ${path}: its format is not ${format}`);
    }
    this.#revision = this.#mark("revision");
    this.#forgotten = this.#mark("forgotten");
    this.#historyBytes = this.#measureHistory();
  }

  revision(): number {
    return this.#revision;
  }

  forgotten(): number {
    return this.#forgotten;
  }

  get(key: string): ShelfRow | undefined {
    return this.#all("select key, text, revision from entry where key = ?", key).map(rowOf)[0];
  }

  list(prefix: string): readonly ShelfRow[] {
    return this.#all(
      "select key, text, revision from entry where key >= ? and key < ? order by key",
      prefix,
      afterPrefix(prefix),
    ).map(rowOf);
  }

  apply(changes: readonly KeyChange[], endedLeases: readonly string[]): number {
    const revision = this.#revision + (changes.length === 0 ? 0 : 1);
    this.#transaction(() => {
      for (const lease of endedLeases) this.#run("delete from lease where id = ?", lease);
      for (const [seq, { key, text, lease }] of changes.entries()) {
        if (text === undefined) this.#run("delete from entry where key = ?", key);
        else {
          this.#run("insert or replace into entry values (?, ?, ?, ?)", key, text, revision, lease ?? null);
        }
        this.#run("insert into history values (?, ?, ?, ?)", revision, seq, key, text ?? null);
      }
      this.#run("update mark set value = ? where name = 'revision'", revision);
    });
    this.#revision = revision;
    for (const { key, text } of changes) this.#historyBytes += key.length + (text?.length ?? 0);
    this.#forget();
    return revision;
  }

  changes(prefix: string, after: number, upTo: number): readonly ShelfChange[] {
    return this.#all(
      `select revision, key, text from history
       where revision > ? and revision <= ? and key >= ? and key < ? order by revision, seq`,
      after,
      upTo,
      prefix,
      afterPrefix(prefix),
    ).map((row) => ({
      revision: Number(row["revision"]),
      key: String(row["key"]),
      ...(typeof row["text"] === "string" ? { text: row["text"] } : {}),
    }));
  }

  keysOf(lease: string): readonly string[] {
    return this.#all("select key from entry where lease = ? order by key", lease).map((row) =>
      String(row["key"]),
    );
  }

  leases(): readonly { id: string; ttlMs: number }[] {
    return this.#all("select id, ttl_ms from lease").map((row) => ({
      id: String(row["id"]),
      ttlMs: Number(row["ttl_ms"]),
    }));
  }

  addLease(id: string, ttlMs: number): void {
    this.#transaction(() => this.#run("insert into lease values (?, ?)", id, Math.ceil(ttlMs)));
  }

  close(): void {
    this.#database.close();
  }

  /** After the commit, in its own transaction: a failure here must not undo what was already durable. */
  #forget(): void {
    const total = { revisions: this.#revision - this.#forgotten, bytes: this.#historyBytes };
    const sizes = this.#statement(
      `select revision, length(key) + length(coalesce(text, '')) as bytes
       from history order by revision desc, seq desc`,
    );
    const newestFirst = {
      *[Symbol.iterator]() {
        for (const row of sizes.iterate()) {
          yield { revision: Number(row["revision"]), bytes: Number(row["bytes"]) };
        }
      },
    };
    const cut = historyCut(total, newestFirst, {
      revisionsMax: storeLimits.historyRevisionsMax,
      bytesMax: storeLimits.historyBytesMax,
    });
    if (cut === 0) return;
    this.#transaction(() => {
      this.#run("delete from history where revision <= ?", cut);
      this.#run("update mark set value = ? where name = 'forgotten'", cut);
    });
    this.#forgotten = cut;
    this.#historyBytes = this.#measureHistory();
  }

  #measureHistory(): number {
    const sum = "select coalesce(sum(length(key) + length(coalesce(text, ''))), 0) as bytes from history";
    return Number(this.#all(sum)[0]?.["bytes"] ?? 0);
  }

  #mark(name: string): number {
    return Number(this.#all("select value from mark where name = ?", name)[0]?.["value"] ?? 0);
  }

  #transaction(work: () => void): void {
    try {
      this.#database.exec("begin immediate");
      work();
      this.#database.exec("commit");
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      throw new ConsortError("driver_failed", `Cannot write to the store: ${messageOf(cause)}`, { cause });
    }
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values);
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#database.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

function openDatabase(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const database = new DatabaseSync(path);
  try {
    // The lock is taken by the first access and kept: one writer, and no shared memory file.
    database.exec("pragma locking_mode = exclusive");
    database.exec("pragma journal_mode = wal");
    database.exec("pragma synchronous = full");
    database.exec(`begin immediate; ${schema} commit;`);
    return database;
  } catch (cause) {
    database.close();
    if (typeof cause === "object" && cause !== null && "errcode" in cause && cause.errcode === sqliteBusy) {
      throw new ConsortError(
        "conflict",
        `Cannot open the store ${path}: another process has it open, only one may at a time`,
        { cause },
      );
    }
    throw new ConsortError("driver_failed", `Cannot open the store ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Keys are printable ASCII, so every key with the prefix sorts before this. */
const afterPrefix = (prefix: string): string => `${prefix}\u007f`;

const rowOf = (row: Record<string, unknown>): ShelfRow => ({
  key: String(row["key"]),
  text: String(row["text"]),
  revision: Number(row["revision"]),
});

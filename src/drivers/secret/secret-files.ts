import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { isText, mapOf } from "#base/shape.ts";
import type { SecretStore } from "#drivers/secret/port.ts";

const ownerOnly = 0o700;
const fileMode = 0o600;
const readableByOthers = 0o077;
const pattern = /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/;
const isFields = mapOf(isText);

/** Secrets as files that only their owner may read, one each, in a directory of their own. */
export function secretFiles(directory: string): SecretStore {
  const fileOf = (name: string): string => {
    if (pattern.test(name)) return join(directory, `${name}.json`);
    throw new ConsortError(
      "bad_input",
      `Cannot use "${name.slice(0, 60)}" as the name of a secret: a letter a-z, then letters, digits and dashes were wanted`,
    );
  };
  const missing = (name: string): ConsortError =>
    new ConsortError(
      "not_found",
      `Cannot find the secret ${name}: there is none, consort secret set ${name}`,
    );
  return {
    async get(name) {
      const file = fileOf(name);
      const found = await stat(file).catch(() => undefined);
      if (found === undefined) throw missing(name);
      if ((found.mode & readableByOthers) !== 0) {
        throw new ConsortError(
          "forbidden",
          `Cannot use the secret ${name}: others may read its file ${file}, mode 0600 was wanted`,
        );
      }
      // Nothing of its content may be in an error.
      const fields: unknown = await readFile(file, "utf8")
        .then(JSON.parse, () => undefined)
        .catch(() => undefined);
      if (isFields(fields)) return fields;
      throw new ConsortError("internal", `Cannot use the secret ${name}: its file ${file} is damaged`);
    },
    async set(name, fields) {
      const file = fileOf(name);
      await mkdir(directory, { recursive: true, mode: ownerOnly });
      await chmod(directory, ownerOnly);
      const draft = `${file}.new`;
      await rm(draft, { force: true });
      const handle = await open(draft, "wx", fileMode);
      try {
        await handle.writeFile(JSON.stringify(fields));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(draft, file);
    },
    async names() {
      const files = await readdir(directory).catch((): string[] => []);
      return files.flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? []).sort();
    },
    async remove(name) {
      await rm(fileOf(name)).catch(() => {
        throw missing(name);
      });
    },
  };
}

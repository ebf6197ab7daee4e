import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { mutants } from "./mutants.ts";

/**
 * Loaded before a child's program (`--import`): puts the mutant that CONSORT_MUTANT names into the module it is in, as
 * it is loaded. Nothing on disk changes, and no product code knows of it.
 */
const name = process.env["CONSORT_MUTANT"];
const mutant = mutants.find((one) => one.name === name);
if (mutant === undefined) throw new Error(`Cannot mutate: there is no mutant "${name}"`);
const url = pathToFileURL(join(import.meta.dirname, "../..", mutant.file)).href;

registerHooks({
  load(address, context, nextLoad) {
    const loaded = nextLoad(address, context);
    if (address !== url) return loaded;
    const text = loaded.source ?? "";
    const source = typeof text === "string" ? text : new TextDecoder().decode(text);
    const parts = source.split(mutant.was);
    if (parts.length !== 2) {
      throw new Error(
        `Cannot mutate ${mutant.file}: "${mutant.was}" is there ${parts.length - 1} times, 1 was wanted`,
      );
    }
    return { ...loaded, source: parts.join(mutant.becomes) };
  },
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { systemSubprocess } from "#drivers/system/subprocess.ts";

const { signal } = new AbortController();
const sources = join(import.meta.dirname, "..");
const subprocess = systemSubprocess();

/** What a host manager asks for while it begins. */
const asked = ["#main/host.ts", ...laterImports(readFileSync(join(sources, "main/host.ts"), "utf8"))];

const isOurs = (url: string): boolean => url.startsWith(`file://${sources}/`);

function laterImports(source: string): string[] {
  return [...source.matchAll(/\bimport\("([^"]+)"\)/g)].map(([, name]) => name ?? "");
}

type Loaded = {
  /** Parts of Node itself. */
  readonly builtin: readonly string[];
  /** Every import, of whatever it is. */
  readonly modules: readonly { readonly asked: string; readonly by: string; readonly url: string }[];
};

/** JavaScript, so that nothing about it has to be stripped. */
const program = `
  import { registerHooks } from "node:module";
  const modules = [];
  registerHooks({
    resolve(asked, context, next) {
      const found = next(asked, context);
      modules.push({ asked, by: context.parentURL ?? "", url: found.url });
      return found;
    },
  });
  for (const one of process.env.ASKED.split(" ")) await import(one);
  process.stdout.write(JSON.stringify({ builtin: process.moduleLoadList, modules }));
`;

describe("what a host manager loads", () => {
  let cache = "";
  const load = async (...names: readonly string[]): Promise<Loaded> => {
    const node = [process.execPath, "--input-type=module", "--eval", program];
    const settings = [`NODE_COMPILE_CACHE=${cache}`, `ASKED=${names.join(" ")}`];
    return JSON.parse(
      await subprocess.check("env", ["-C", join(sources, ".."), ...settings, ...node], signal),
    ) as Loaded;
  };

  before(async () => {
    cache = mkdtempSync(join(tmpdir(), "consort-loads-"));
    const everything = join(sources, "main/load-everything.ts");
    await subprocess.check("env", [`NODE_COMPILE_CACHE=${cache}`, process.execPath, everything], signal);
  });
  after(() => rmSync(cache, { recursive: true }));

  it("is all in the compile cache, also what it loads later: Node's type stripper takes 20 MiB", async () => {
    const first = await load(...asked);
    const ours = first.modules.map(({ url }) => url).filter(isOurs);
    const later = ours.flatMap((url) => {
      const names = laterImports(readFileSync(new URL(url), "utf8"));
      return names.map((name) => (name.startsWith(".") ? new URL(name, url).href : name));
    });
    const { builtin } = await load(...asked, ...later);
    assert.deepEqual(
      builtin.filter((name) => name.includes("amaro")),
      [],
    );
  });

  it("is not what checks formats", async () => {
    const { modules } = await load(...asked);
    assert.deepEqual(
      modules.map((one) => one.asked).filter((name) => ["zod", "yaml", "saxes"].includes(name)),
      [],
    );
  });

  /** Node makes an import by name of all that these have, to the streams of a terminal, and fetch: 10 MiB in all. */
  it("is of some of Node's modules only what is needed, by process.getBuiltinModule()", async () => {
    const { builtin, modules } = await load(...asked);
    const whole = new Set(["node:http", "node:process", "node:util"]);
    assert.deepEqual(
      modules.filter(({ url, by }) => whole.has(url) && isOurs(by)),
      [],
    );
    assert.deepEqual(
      builtin.filter((name) => name.includes("undici")),
      [],
    );
  });
});

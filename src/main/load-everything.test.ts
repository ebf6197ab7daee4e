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

function laterImports(source: string): string[] {
  return [...source.matchAll(/\bimport\("([^"]+)"\)/g)].map(([, name]) => name ?? "");
}

type Loaded = {
  /** Node's own. */
  readonly builtin: readonly string[];
  /** Those of packages and of this project, as they were asked for. */
  readonly modules: readonly { readonly asked: string; readonly url: string }[];
};

/** JavaScript, so that nothing about it has to be stripped. */
const program = `
  import { registerHooks } from "node:module";
  const modules = [];
  registerHooks({
    resolve(asked, context, next) {
      const found = next(asked, context);
      modules.push({ asked, url: found.url });
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
    const ours = first.modules.map(({ url }) => url).filter((url) => url.startsWith(`file://${sources}/`));
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

  it("is neither what checks formats nor what fetch and WebSocket are made of", async () => {
    const { builtin, modules } = await load(...asked);
    assert.deepEqual(
      modules.map((one) => one.asked).filter((name) => name === "zod" || name === "yaml"),
      [],
    );
    assert.deepEqual(
      builtin.filter((name) => name.includes("undici")),
      [],
    );
  });
});

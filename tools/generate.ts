import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { generators } from "./generators.ts";

/** `npm run generate`: writes every generated file that differs from what the code says. */
const root = join(import.meta.dirname, "..");

for (const { path, content } of generators) {
  const file = join(root, path);
  const text = content();
  if (textOf(file) === text) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`wrote ${path}`);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

import { globSync } from "node:fs";
import { relative } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/**
 * Runs the tests on the real kernel, one file after the other: they share the machine. On a machine with other work a
 * deadline of the kernel's or of a peer program can pass, so the files in which a test failed are run once more at the
 * end. What fails then fails the run; what passes is named, to be looked into.
 *
 *     node tools/real-tests.ts [file or pattern …]
 */
/** Far more than any file takes on any machine: what is not done by then hangs. */
const hungMs = 15 * 60_000;
const patterns = process.argv.slice(2);
const files = globSync(patterns.length > 0 ? patterns : "test/**/*.test.ts").toSorted();
if (files.length === 0) throw new Error(`no test file matches ${patterns.join(" ")}`);

const failed = await runFiles(files);
if (failed.length > 0) {
  console.log(`\nRun once more, as a test failed in them: ${failed.join(", ")}\n`);
  const again = await runFiles(failed);
  const unsteady = failed.filter((file) => !again.includes(file));
  if (unsteady.length > 0) console.log(`\nPassed only when run again: ${unsteady.join(", ")}`);
  if (again.length > 0) {
    console.log(`\nFailed twice: ${again.join(", ")}`);
    process.exitCode = 1;
  }
}
console.log(`\n${files.length} files of tests on the real kernel, ${failed.length} of them run again`);
// What a failed test left running has the pipes of its file open, and this would wait for it without end.
process.exit();

/** Resolves with those in which a test failed, relative to the working directory. */
async function runFiles(chosen: readonly string[]): Promise<string[]> {
  const bad = new Set<string>();
  const note = (file: string): void => void bad.add(relative(process.cwd(), file));
  const events = run({
    files: [...chosen],
    concurrency: 1,
    timeout: hungMs,
    execArgv: ["--import", new URL("./seed.ts", import.meta.url).href],
  });
  events.on("test:summary", ({ file, success }) => {
    if (success) return;
    // The last one is of all files together.
    if (file !== undefined) note(file);
    else if (bad.size === 0) for (const one of chosen) note(one);
  });
  // One that ends before it could sum up.
  events.on("test:fail", ({ file }) => {
    if (file !== undefined) note(file);
  });
  const report = events.compose(new spec());
  for await (const text of report) process.stdout.write(String(text));
  return chosen.filter((file) => bad.has(file));
}

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFlag, isText, shape } from "#base/shape.ts";

/** Asked of KVM by really running a guest in it; takes a second or two where it hangs. */
export type KvmTrial = () => Promise<boolean>;

type Answer = { readonly boot: string; readonly runs: boolean };
const isAnswer = shape({ boot: isText, runs: isFlag });
const fileName = "kvm.json";

/** A trial that is made once for each boot of the machine, and whose answer is kept in the directory. */
export function triedOncePerBoot(directory: string, boot: string, trial: KvmTrial): KvmTrial {
  const file = join(directory, fileName);
  return async () => {
    const kept = read(file);
    if (kept?.boot === boot) return kept.runs;
    const answer: Answer = { boot, runs: await trial() };
    writeFileSync(`${file}.new`, JSON.stringify(answer), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    return answer.runs;
  };
}

function read(file: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    return isAnswer(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

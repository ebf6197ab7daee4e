import { errorTable, messageOf } from "#base/errors.ts";
import type { Command } from "#cli/command.ts";
import { readTextFile } from "#cli/ensemble-file.ts";
import { count } from "#cli/quantities.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Problem } from "#formats/problem.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";

type Verdict = { file: string; summary: string; problems: readonly Problem[] };

async function validateScenario(file: string, text: string): Promise<Verdict> {
  const { parseScenario } = await import("#formats/scenario.ts");
  const result = parseScenario(text, { file });
  if (!result.ok) return { file, summary: "not valid", problems: result.problems };
  const { name, steps } = result.value;
  return { file, summary: `scenario ${name} is valid: ${count(steps.length, "step")}`, problems: [] };
}

export const command: Command = {
  usage: ["validate FILE…"],
  options: {},
  about: [
    "Reads ensemble files (YAML, JSON or DEVA XML) and says what is wrong with them: file, line, column, what was\nexpected and what may have been meant. Needs no manager and changes nothing. Exit code 2 when anything is wrong.",
    "Files named *.scenario.yaml are read as scenarios for consort simulate.",
  ],
  examples: [
    { line: "consort validate shop.yaml", what: "one file" },
    { line: "consort validate examples/*.yaml --json", what: "several, for an editor or a pipeline" },
    { line: "generate | consort validate -", what: "from another program" },
  ],
  takes: [1, Number.MAX_SAFE_INTEGER],
  async run(given, context) {
    const results = [];
    for (const file of given.positionals) results.push(await validate(file));
    const valid = results.every((result) => result.problems.length === 0);
    if (given.has("json")) context.terminal.out(`${JSON.stringify(results, undefined, 2)}\n`);
    else
      for (const result of results)
        if (result.problems.length === 0) context.terminal.out(`${result.file}: ${result.summary}\n`);
        else for (const problem of result.problems) context.terminal.err(`${formatProblem(problem)}\n`);
    return valid ? 0 : errorTable.bad_input.exit;

    async function validate(file: string): Promise<Verdict> {
      try {
        const text = await readTextFile(file, context);
        if (/\.scenario\.(?:yaml|yml|json)$/.test(file)) return await validateScenario(file, text);
        const result = parseEnsemble(text, { file: file === "-" ? "stdin.yaml" : file });
        if (!result.ok) return { file, summary: "not valid", problems: result.problems };
        const { name, networks } = result.value;
        const counts = [
          count(appliancesOf(result.value).length, "appliance"),
          count(networks.length, "network"),
          count(linksOf(result.value).length, "link"),
        ].join(", ");
        return { file, summary: `ensemble ${name} is valid: ${counts}`, problems: [] };
      } catch (error) {
        const problem = {
          file,
          line: 0,
          column: 0,
          path: "",
          message: messageOf(error).replace(`Cannot read ${file}: `, "cannot be read: "),
        };
        return { file, summary: "not readable", problems: [problem] };
      }
    }
  },
};

import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command } from "#cli/command.ts";
import { linkName, shortName } from "#cli/names.ts";
import { formatTable } from "#cli/table.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { Explanation } from "#protocol/http/plan.ts";

type Weighed = Explanation["appliances"][number];

export const command: Command = {
  usage: ["explain NAME", "explain NAME/APPLIANCE"],
  options: {
    ...apiOptions,
    appliance: { about: "Only this appliance and its links: the same as NAME/APPLIANCE", value: "NAME" },
  },
  about: [
    "For every appliance: the hosts that were weighed, with score (lower is better) and verdict, and what is binding.\nFor every link: the path its frames take, how the two ends are connected, and the physical link with least room left.",
  ],
  examples: [
    { line: "consort explain shop", what: "all of it" },
    { line: "consort explain shop/web-1", what: "why web-1 is where it is" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const client = await connect(given, context);
    const [name = "", ...rest] = (given.positionals[0] ?? "").split("/");
    const appliance = given.text("appliance") ?? (rest.length === 0 ? undefined : rest.join("/"));
    const whole = await client.request<Explanation>(
      "GET",
      route`/v1/ensembles/${name}/explanation`,
      context.signal,
    );
    const explanation = only(whole, appliance);
    if (given.has("json")) context.terminal.out(`${JSON.stringify(explanation, undefined, 2)}\n`);
    else context.terminal.out(formatExplanation(explanation, lineWidth(context.terminal)));
    return 0;
  },
};

function only(whole: Explanation, appliance: string | undefined): Explanation {
  if (appliance === undefined) return whole;
  const isIt = (id: string): boolean => id === appliance || id === `${whole.ensemble}/${appliance}`;
  const appliances = whole.appliances.filter((entry) => isIt(entry.appliance));
  if (appliances.length === 0) {
    const known = whole.appliances.map((entry) => shortName(entry.appliance));
    const suggestion = didYouMean(appliance, known);
    throw new ConsortError(
      "not_found",
      `Cannot explain ${appliance}: no such appliance of ${whole.ensemble}${suggestion === undefined ? "" : `; ${suggestion}`}`,
    );
  }
  return {
    ensemble: whole.ensemble,
    appliances,
    links: whole.links.filter((link) => isIt(link.from) || isIt(link.to)),
  };
}

export function formatExplanation(explanation: Explanation, width?: number): string {
  const appliances = explanation.appliances.map((one) => formatWeighed(one, width));
  const links = formatTable<Explanation["links"][number]>(
    [
      { heading: "LINK", cell: linkName },
      { heading: "CONNECTION", cell: (row) => row.connection },
      { heading: "BINDING", cell: (row) => row.binding ?? "-" },
      { heading: "PATH", cell: (row) => row.path.join(" > ") },
    ],
    explanation.links,
    width,
  );
  return [...appliances, ...(explanation.links.length > 0 ? [links] : [])].join("\n");
}

function formatWeighed(weighed: Weighed, width: number | undefined): string {
  const where = weighed.host === undefined ? "is placed nowhere" : `is on ${weighed.host}`;
  const binding = weighed.binding === undefined ? "" : `Binding: ${weighed.binding}\n`;
  const candidates = formatTable<Weighed["candidates"][number]>(
    [
      { heading: "", cell: (row) => (row.host === weighed.host ? "*" : "") },
      { heading: "HOST", cell: (row) => row.host },
      {
        heading: "SCORE",
        right: true,
        cell: (row) => (row.score === undefined ? "-" : String(Math.round(row.score * 100) / 100)),
      },
      { heading: "VERDICT", cell: (row) => row.verdict },
    ],
    weighed.candidates,
    width,
  );
  return `${weighed.appliance} ${where}\n${binding}${candidates}`;
}

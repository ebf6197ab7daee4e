import { basename } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { applianceIn } from "#cli/logs.ts";
import { profileAppliance } from "#cli/profile-appliance.ts";
import { profileOptions } from "#cli/profile-options.ts";
import type { ProfileOptions } from "#cli/profile-options.ts";
import { formatProfile, proposalYaml } from "#cli/profile-report.ts";
import type { ProfileReport, Program } from "#cli/profile-report.ts";
import { progressOn } from "#cli/progress.ts";
import { isTight } from "#control/profile/confidence.ts";
import { profileOf, utilisationOf } from "#control/profile/profile.ts";
import type { Profile } from "#control/profile/profile.ts";
import { proposalOf } from "#control/profile/proposal.ts";
import type { FinishedRun } from "#drivers/profile/port.ts";

/** Fewer agree by chance. */
const runsLeast = 5;

export const command: Command = {
  usage: ["profile -- PROGRAM [ARGUMENT…]", "profile NAME/APPLIANCE"],
  options: {
    ...apiOptions,
    runs: { about: "Run it so often at most, or look so often at an appliance (30)", value: "N" },
    for: {
      about: "End every run after this long, for programs that do not end by themselves",
      value: "TIME",
    },
    period: { about: "In which it has to be given its CPU time; its own rhythm unless told", value: "TIME" },
    rate: { about: "The same as a rate: 25/s is a period of 40ms", value: "N/s" },
    within: {
      about: "Stop when its mean use of CPU is known to this part of itself, with 95% confidence (2%)",
      value: "PERCENT",
    },
    cover: { about: "Propose what is enough in this part of the periods (99%)", value: "PERCENT" },
    name: { about: "Call the appliance so in what is to be pasted", value: "NAME" },
  },
  about: [
    "Runs a program again and again on this machine, by itself in a control group, and measures what it uses: CPU time in\nevery period, memory at most, bandwidth out and in. Then it proposes what to reserve for it, to be pasted into an ensemble\nfile. Wants root, and a machine that does nothing else: a program that has to wait for a processor shows less than it needs.",
    "How a run begins, a tenth of it and a second at most, is left out. Interrupted, it ends the program and leaves nothing.",
    "Of a running appliance it looks at the counters its host tells about once a second: its rhythm does not show in them, so\nwithout a reservation it has to be told a period; its traffic is known as far as it has links; and it cannot show that it\nneeds more than it was given.",
  ],
  examples: [
    {
      line: "sudo consort profile --for 10s -- ffmpeg -re -i film.ts -f rtp_mpegts rtp://10.0.0.2:5004",
      what: "a stream; it finds its period itself",
    },
    { line: "sudo consort profile --rate 25/s --json -- ./decode clip.mp4", what: "for programs" },
    { line: "consort profile vod/streaming --period 40ms", what: "of what runs already" },
  ],
  takes: [0, 1],
  rest: true,
  async run(given, context) {
    const options = profileOptions(given);
    const report = await profiled(given, options, context);
    if (given.has("json")) context.terminal.out(`${JSON.stringify(report, undefined, 2)}\n`);
    else context.terminal.out(`${formatProfile(report)}\n`);
    return 0;
  },
};

async function profiled(
  given: Arguments,
  options: ProfileOptions,
  context: CommandContext,
): Promise<ProfileReport> {
  const [target] = given.positionals;
  const program = given.rest;
  if (target !== undefined && program.length > 0)
    throw new ConsortError(
      "unsupported",
      `Cannot profile a program in ${target}: what it uses cannot be told from what else runs there; leave out the program, or the appliance`,
    );
  if (target !== undefined) {
    const [ensemble, appliance] = applianceIn(target);
    const { profile, tight } = await profileAppliance([ensemble, appliance], options, given, context);
    return reportOf({
      subject: target,
      each: "look",
      tight,
      profile,
      options,
      name: options.name ?? appliance,
    });
  }
  if (program.length === 0)
    throw new ConsortError(
      "bad_input",
      "Cannot profile nothing: wanted consort profile -- PROGRAM, or NAME/APPLIANCE",
    );
  const { profile, tight, directory } = await profileProgram(program, options, context);
  const name = options.name ?? nameFor(program[0] ?? "");
  return reportOf({
    subject: program.join(" "),
    each: "run",
    tight,
    profile,
    options,
    name,
    program: { command: program, directory },
  });
}

async function profileProgram(
  program: readonly string[],
  options: ProfileOptions,
  context: CommandContext,
): Promise<{ readonly profile: Profile; readonly tight: boolean; readonly directory: string }> {
  const runner = await context.tools.programRunner();
  const progress = progressOn(context);
  const runs: FinishedRun[] = [];
  try {
    for (;;) {
      const run = await runner.run(
        { command: program, ...(options.forMs === undefined ? {} : { forMs: options.forMs }) },
        context.signal,
      );
      refuseFailed(program, runs.length + 1, run);
      runs.push(run);
      const utilisation = utilisationOf(runs);
      const tight = runs.length >= runsLeast && isTight(utilisation, options.withinPart);
      if (tight || runs.length >= options.runs)
        return {
          profile: profileOf(runs, options),
          tight: runs.length < options.runs,
          directory: runner.directory,
        };
      progress.show(`run ${runs.length} of ${options.runs}: ${(utilisation.mean * 100).toFixed(2)}% CPU`);
    }
  } finally {
    progress.end();
    await runner.close();
  }
}

function refuseFailed(program: readonly string[], run: number, { exitCode, lastWords }: FinishedRun): void {
  if (exitCode === undefined || exitCode === 0) return;
  const words = lastWords === "" ? "" : `: ${lastWords}`;
  throw new ConsortError(
    "driver_failed",
    `Cannot profile ${program[0] ?? "nothing"}: run ${run} ended with ${exitCode}, 0 was wanted${words}`,
  );
}

function reportOf(parts: {
  subject: string;
  each: "run" | "look";
  tight: boolean;
  profile: Profile;
  options: ProfileOptions;
  name: string;
  program?: Program;
}): ProfileReport {
  const { subject, each, tight, profile, options, name, program } = parts;
  const proposed = proposalOf(profile);
  const proposal = { ...proposed, remarks: [...proposed.remarks, ...remarksOn(program)] };
  return {
    subject,
    each,
    tight,
    coveredPart: options.coveredPart,
    profile,
    proposal,
    yaml: proposalYaml(name, program, proposal),
  };
}

/** Appliances see the files of their host, but for these. */
const isTemporary = (path: string): boolean => path === "/tmp" || path.startsWith("/tmp/");

function remarksOn(program: Program | undefined): string[] {
  const found = program && [program.directory, ...program.command].find(isTemporary);
  if (found === undefined) return [];
  return [
    `An appliance does not see ${found}, as it has a /tmp of its own: keep that elsewhere, or declare it below \`files\`.`,
  ];
}

/** "/usr/bin/ffmpeg" → "ffmpeg", as names of appliances may be. */
function nameFor(program: string): string {
  const name = basename(program)
    .toLowerCase()
    .replace(/\.[a-z0-9]+$/, "")
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .replaceAll(/^[^a-z]+|-+$/g, "");
  return name === "" ? "program" : name;
}

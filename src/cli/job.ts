import { ConsortError, errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { parsed, readTextFile } from "#cli/ensemble-file.ts";
import { commandHelp } from "#cli/help-text.ts";
import { exitCodeOf, followJob, outputOf } from "#cli/job-follow.ts";
import { jobLines, jobTable } from "#cli/job-text.ts";
import { programOutput } from "#cli/program-output.ts";
import { findCommand } from "#cli/run.ts";
import { printable } from "#cli/table.ts";
import { jobDocument } from "#formats/job-document.ts";
import { parseJob } from "#formats/job.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { JobStatus, JobStream } from "#protocol/http/job.ts";

const verbs = { submit, ls, status, output, cancel, rm } as const;

export const command: Command = {
  usage: ["job submit FILE", "job ls", "job status JOB", "job output JOB", "job cancel JOB", "job rm JOB"],
  options: {
    ...apiOptions,
    in: { about: "submit: run it in this appliance, whatever the file says", value: "NAME/APPLIANCE" },
    follow: { about: "submit, output: show what it writes until it is over", short: "f" },
    quiet: { about: "ls: only their ids, one a line", short: "q" },
    stderr: { about: "output: what it wrote to its standard error" },
  },
  about: [
    "submit: hands a job to the manager: a program that is to run in an appliance, or in a machine of its own that is made\nfor it and removed after it. The file is YAML, JSON or a JSDL 1.0 document. It runs as soon as its appliance does; the\nmanager goes on whatever becomes of this program, and tries again as the file says.",
    "ls, status: what there is, and how one of them does. output: what its newest attempt wrote; a terminal is\nshown its lines and colours only. cancel: ends it. rm: forgets one that is over, with what it wrote.",
    "With --follow the exit code is the job's own, or 1 where it has none; Ctrl-C leaves it running.",
  ],
  examples: [
    { line: "consort job submit render.yaml", what: "and come back later" },
    {
      line: "consort job submit -f --in shop/worker-1 plot.jsdl",
      what: "in that appliance, watched to its end",
    },
    { line: "consort job output -f render-1f2e3d4c", what: "what it writes, as it comes" },
    { line: "consort job cancel render-1f2e3d4c", what: "enough" },
  ],
  takes: [0, Number.POSITIVE_INFINITY],
  async run(given, context) {
    const [verb, subject, ...others] = given.positionals;
    if (verb === undefined) {
      context.terminal.out(commandHelp(findCommand("job"), command));
      return errorTable.bad_input.exit;
    }
    if (!isVerb(verb)) {
      const suggestion = didYouMean(verb, Object.keys(verbs)) ?? "see consort job --help";
      throw new ConsortError("bad_input", `Cannot run consort job ${verb}: no such verb; ${suggestion}`);
    }
    const wanted = verb === "ls" ? undefined : verb === "submit" ? "FILE" : "JOB";
    if ((subject === undefined) !== (wanted === undefined) || others.length > 0) {
      const usage = wanted === undefined ? "nothing more" : `one ${wanted}: consort job ${verb} ${wanted}`;
      throw new ConsortError(
        "bad_input",
        `Cannot run consort job ${verb}: ${given.positionals.length - 1} arguments, wanted ${usage}`,
      );
    }
    return verbs[verb](subject ?? "", given, context);
  },
};

const isVerb = (verb: string): verb is keyof typeof verbs => Object.hasOwn(verbs, verb);

async function submit(file: string, given: Arguments, context: CommandContext): Promise<number> {
  const text = await readTextFile(file, context);
  const appliance = given.text("in");
  const job = parsed(
    file,
    parseJob(text, {
      file: file === "-" ? "stdin.yaml" : file,
      ...(appliance === undefined ? {} : { appliance }),
    }),
  );
  const client = await connect(given, context);
  const submitted = await client.request<JobStatus>("POST", "/v1/jobs", context.afterwards, jobDocument(job));
  const { terminal } = context;
  if (!given.has("follow")) {
    if (given.has("json")) printJson(submitted, context);
    else terminal.out(`${submitted.id}\n`);
    return 0;
  }
  terminal.err(`${submitted.id} is submitted\n`);
  return concluded(await followJob(client, submitted.id, context), given, context);
}

async function ls(_subject: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const jobs = await client.request<JobStatus[]>("GET", "/v1/jobs", context.signal);
  if (given.has("json")) printJson(jobs, context);
  else if (given.has("quiet")) context.terminal.out(jobs.map(({ id }) => `${id}\n`).join(""));
  else context.terminal.out(jobs.length === 0 ? "no jobs\n" : jobTable(jobs, context));
  return 0;
}

async function status(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const job = await client.request<JobStatus>("GET", route`/v1/jobs/${id}`, context.signal);
  if (given.has("json")) printJson(job, context);
  else context.terminal.out(jobLines(job));
  return 0;
}

async function output(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  if (given.has("follow")) return concluded(await followJob(client, id, context), given, context);
  const stream: JobStream = given.has("stderr") ? "stderr" : "stdout";
  const show = programOutput(context.terminal.out, context.terminal.outIsTerminal);
  for await (const piece of outputOf(client, id, stream, context.signal)) show(piece);
  return 0;
}

async function cancel(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const job = await client.request<JobStatus>("POST", route`/v1/jobs/${id}/cancel`, context.signal);
  if (given.has("json")) printJson(job, context);
  else context.terminal.out(`${id} is to end\n`);
  return 0;
}

async function rm(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  await client.request<void>("DELETE", route`/v1/jobs/${id}`, context.signal);
  if (given.has("json")) printJson({ id, removed: true }, context);
  return 0;
}

/** Undefined: it was left running. */
function concluded(job: JobStatus | undefined, given: Arguments, context: CommandContext): number {
  if (job === undefined) return 0;
  const why = job.message === undefined ? "" : `: ${printable(job.message)}`;
  const how = job.state === "failed" ? "has failed" : `is ${job.state}`;
  if (given.has("json")) printJson(job, context);
  else context.terminal.err(`${job.id} ${how}${why}\n`);
  return exitCodeOf(job);
}

const printJson = (value: unknown, context: CommandContext): void =>
  context.terminal.out(`${JSON.stringify(value, undefined, 2)}\n`);

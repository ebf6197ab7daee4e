import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jobs } from "#formats/job.arbitrary.ts";
import { parseJob } from "#formats/job.ts";
import { jsdlNamespaces } from "#formats/jsdl-tree.ts";
import { formatProblem } from "#formats/problem.ts";
import type { JobSpec } from "#model/job.ts";

const example = `<?xml version="1.0" encoding="UTF-8"?>
<jsdl:JobDefinition xmlns:jsdl="${jsdlNamespaces.jsdl}" xmlns:posix="${jsdlNamespaces.posix}">
  <jsdl:JobDescription>
    <jsdl:JobIdentification><jsdl:JobName>My Gnuplot invocation</jsdl:JobName>
      <jsdl:Description> Plots it. </jsdl:Description></jsdl:JobIdentification>
    <jsdl:Application>
      <jsdl:ApplicationName>gnuplot</jsdl:ApplicationName>
      <posix:POSIXApplication>
        <posix:Executable>/usr/local/bin/gnuplot</posix:Executable>
        <posix:Argument>control.txt</posix:Argument>
        <posix:Argument> b &amp; c</posix:Argument>
        <posix:Input>input.dat</posix:Input>
        <posix:Output>output1.png</posix:Output>
        <posix:Error>errors.txt</posix:Error>
        <posix:WorkingDirectory>/srv/work</posix:WorkingDirectory>
        <posix:Environment name="LD_LIBRARY_PATH">/usr/local/lib</posix:Environment>
        <posix:WallTimeLimit>90</posix:WallTimeLimit>
      </posix:POSIXApplication>
    </jsdl:Application>
    <jsdl:Resources>
      <jsdl:OperatingSystem><jsdl:OperatingSystemType>
        <jsdl:OperatingSystemName>LINUX</jsdl:OperatingSystemName>
      </jsdl:OperatingSystemType></jsdl:OperatingSystem>
      <jsdl:IndividualPhysicalMemory><jsdl:LowerBoundedRange>2097152.0</jsdl:LowerBoundedRange></jsdl:IndividualPhysicalMemory>
      <jsdl:TotalCPUCount><jsdl:Exact>1.0</jsdl:Exact></jsdl:TotalCPUCount>
    </jsdl:Resources>
    <jsdl:DataStaging>
      <jsdl:FileName>control.txt</jsdl:FileName>
      <jsdl:CreationFlag>dontOverwrite</jsdl:CreationFlag>
      <jsdl:DeleteOnTermination>true</jsdl:DeleteOnTermination>
      <jsdl:Source><jsdl:URI>http://foo.bar.com/~me/control.txt</jsdl:URI></jsdl:Source>
    </jsdl:DataStaging>
    <jsdl:DataStaging>
      <jsdl:FileName>output1.png</jsdl:FileName>
      <jsdl:CreationFlag>overwrite</jsdl:CreationFlag>
      <jsdl:DeleteOnTermination>true</jsdl:DeleteOnTermination>
      <jsdl:Target><jsdl:URI>sftp://spoolmachine/userdir</jsdl:URI></jsdl:Target>
    </jsdl:DataStaging>
  </jsdl:JobDescription>
</jsdl:JobDefinition>`;

const problemsOf = (text: string): string[] => {
  const parsed = parseJob(text, { file: "job.jsdl" });
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

test("the standard's own example is read, with all it asks for", () => {
  const parsed = parseJob(example, { file: "job.jsdl" });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { runsIn, ...job } = parsed.value;
  assert.equal(runsIn.kind, "machine");
  assert.ok(runsIn.kind === "machine" && runsIn.machine.cpu?.kind === "share");
  assert.deepEqual([runsIn.machine.memoryBytes, runsIn.machine.cpu.shareMilli], [2_097_152, 1000]);
  assert.deepEqual(job, {
    name: "my-gnuplot-invocation",
    description: "Plots it.",
    command: ["/usr/local/bin/gnuplot", "control.txt", " b & c"],
    env: { LD_LIBRARY_PATH: "/usr/local/lib" },
    directory: "/srv/work",
    stdin: "input.dat",
    stdout: "output1.png",
    stderr: "errors.txt",
    stageIn: [
      { url: "http://foo.bar.com/~me/control.txt", path: "control.txt", ifThere: "keep", deleteAfter: true },
    ],
    stageOut: [{ url: "sftp://spoolmachine/userdir", path: "output1.png", deleteAfter: true }],
    retry: { attemptsMax: 1, backoffMsMin: 1000, backoffMsMax: 60_000 },
    timeLimitMs: 90_000,
  });
});

test("what is not supported is refused by its name, at its line and column, with a remedy", () => {
  const cases: readonly (readonly [from: string, to: string, told: RegExp])[] = [
    [
      "<posix:WallTimeLimit>90</posix:WallTimeLimit>",
      "<posix:CPUTimeLimit>9</posix:CPUTimeLimit>",
      /17:9: <CPUTimeLimit> of JSDL is not supported; write <WallTimeLimit>/,
    ],
    [
      "<posix:WallTimeLimit>90</posix:WallTimeLimit>",
      "<posix:UserName>root</posix:UserName>",
      /<UserName> of JSDL is not supported/,
    ],
    [
      "<posix:WallTimeLimit>90</posix:WallTimeLimit>",
      "<posix:WallTimeLimi>9</posix:WallTimeLimi>",
      /<WallTimeLimi> is not known inside <POSIXApplication>; did you mean "WallTimeLimit"/,
    ],
    [
      "<posix:WallTimeLimit>90<",
      "<posix:WallTimeLimit>soon<",
      /17:9: expected a number in <WallTimeLimit>, not "soon"/,
    ],
    [
      "<jsdl:Exact>1.0</jsdl:Exact>",
      "<jsdl:UpperBoundedRange>1</jsdl:UpperBoundedRange>",
      /<TotalCPUCount> says nothing of the least/,
    ],
    ["LINUX", "Windows_XP", /"Windows_XP" is not supported; write LINUX/],
    [
      "dontOverwrite",
      "never",
      /expected one of overwrite, append, dontOverwrite in <CreationFlag>, not "never"/,
    ],
    [
      "<jsdl:FileName>control.txt",
      "<jsdl:FileName>../control.txt",
      /\d+:\d+ stageIn\[0\].to: expected a path inside the appliance/,
    ],
    ["http://foo.bar.com/~me/", "file:///etc/../", /stageIn\[0\].from: expected a URL whose path has no/],
    [
      `xmlns:posix="${jsdlNamespaces.posix}"`,
      'xmlns:posix="urn:other"',
      /<posix:POSIXApplication> is of the namespace "urn:other", which is not known/,
    ],
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
      /a document type declaration is not accepted/,
    ],
    [
      "<jsdl:JobName>",
      "text<jsdl:JobName>",
      /<JobIdentification> contains text "text", which means nothing there/,
    ],
    [
      "<jsdl:Source><jsdl:URI>http://foo.bar.com/~me/control.txt</jsdl:URI></jsdl:Source>",
      "",
      /<DataStaging> has neither <Source> nor <Target>/,
    ],
  ];
  for (const [from, to, told] of cases) {
    const text = example.replace(from, to);
    assert.notEqual(text, example);
    assert.match(problemsOf(text).join("\n"), told, to);
  }
});

test("an element of ours names the appliance it runs in, and the secrets of its files", () => {
  const text = example
    .replace(
      /<jsdl:Resources>.*<\/jsdl:Resources>/s,
      '<jsdl:Resources><c:Appliance xmlns:c="urn:consort:jsdl">shop/web</c:Appliance></jsdl:Resources>',
    )
    .replace("<jsdl:Target>", '<Credentials xmlns="urn:consort:jsdl">spool</Credentials><jsdl:Target>');
  const parsed = parseJob(text, { file: "job.jsdl" });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.value.runsIn, { kind: "appliance", appliance: "shop/web" });
  assert.equal(parsed.value.stageOut[0]?.credentials, "spool");
});

/** XML 1.0 has no way to write some characters, and takes line ends for others. */
const writable = (text: string): boolean => /^[\u0020-\ud7ff]*$/.test(text);
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const attribute = (text: string): string => escaped(text).replaceAll('"', "&quot;");

function jsdlOf(job: JobSpec): string {
  const one = (name: string, text: string | undefined): string =>
    text === undefined ? "" : `<${name}>${escaped(text)}</${name}>`;
  const target = job.runsIn.kind === "appliance" ? job.runsIn.appliance : "";
  const files = [
    ...job.stageIn.map((file) => ({
      ...file,
      side: "Source",
      flag: { overwrite: "overwrite", append: "append", keep: "dontOverwrite" }[file.ifThere],
    })),
    ...job.stageOut.map((file) => ({ ...file, side: "Target", flag: "overwrite" })),
  ];
  return `<JobDefinition xmlns="${jsdlNamespaces.jsdl}" xmlns:p="${jsdlNamespaces.posix}" xmlns:c="${jsdlNamespaces.consort}">
<JobDescription><JobIdentification><JobName>${job.name}</JobName>${one("Description", job.description)}</JobIdentification>
<Application><p:POSIXApplication>${one("p:Executable", job.command[0])}${job.command
    .slice(1)
    .map((word) => one("p:Argument", word))
    .join("")}
${one("p:Input", job.stdin)}${one("p:Output", job.stdout)}${one("p:Error", job.stderr)}${one("p:WorkingDirectory", job.directory)}
${Object.entries(job.env)
  .map(([name, value]) => `<p:Environment name="${attribute(name)}">${escaped(value)}</p:Environment>`)
  .join("")}
</p:POSIXApplication></Application>
<Resources>${one("c:Appliance", target)}<c:Attempts>${job.retry.attemptsMax}</c:Attempts></Resources>
${files
  .map(
    (file) => `<DataStaging>${one("FileName", file.path)}<CreationFlag>${file.flag}</CreationFlag>
<DeleteOnTermination>${file.deleteAfter === true}</DeleteOnTermination>${one("c:Credentials", file.credentials)}
<${file.side}>${one("URI", file.url)}</${file.side}></DataStaging>`,
  )
  .join("")}
</JobDescription></JobDefinition>`;
}

test("any job that JSDL can tell reads back as the same job", () => {
  const told = jobs
    .filter(
      (job) => job.runsIn.kind === "appliance" && [...job.command, ...Object.values(job.env)].every(writable),
    )
    .map(({ timeLimitMs: _limit, ...job }): JobSpec => ({
      ...job,
      ...(job.description === undefined ? {} : { description: job.description.trim() || "x" }),
      command: job.command.map((word, at) => (at === 0 ? `/bin/${word.trim() || "x"}` : word)),
      ...(job.stdin === undefined ? {} : { stdin: job.stdin.replace(/ /g, "") || "in" }),
      stageOut: job.stageOut.map(({ always: _always, ...one }) => one),
      retry: { ...job.retry, backoffMsMin: 1000, backoffMsMax: 60_000 } as JobSpec["retry"],
    }));
  const trimmed = (job: JobSpec): JobSpec =>
    JSON.parse(JSON.stringify(job).replaceAll(/" +|(?<=[^ ]) +"/g, '"')) as JobSpec;
  fc.assert(
    fc.property(told, (job) => {
      const parsed = parseJob(jsdlOf(job), { file: "job.jsdl" });
      if (!parsed.ok) assert.fail(JSON.stringify(parsed.problems));
      // Blanks at the ends of paths are not told apart in JSDL.
      assert.deepEqual(trimmed(parsed.value), trimmed(job));
    }),
    { numRuns: 60 },
  );
});

test("a document with a piece cut, doubled or overwritten is read or refused in words", () => {
  const pieces = fc.constantFrom(
    "",
    "<",
    "</",
    "<jsdl:Source>",
    "</jsdl:JobDescription>",
    "&",
    "]]>",
    "\u0000",
    "xmlns=''",
    "-1",
    "job: a",
  );
  fc.assert(
    fc.property(fc.nat(), fc.nat(60), pieces, (at, length, piece) => {
      const from = at % example.length;
      for (const line of problemsOf(example.slice(0, from) + piece + example.slice(from + length))) {
        assert.ok(line.length < 1500, line);
        assert.doesNotMatch(line, /\p{Cc}|\.ts:\d|undefined|\[object|Invalid input/u, line);
      }
    }),
    { numRuns: 400 },
  );
});

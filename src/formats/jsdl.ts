import { namePattern } from "#formats/fields.ts";
import {
  checkInside,
  childOf,
  childrenOf,
  leastOf,
  numberOf,
  resolveNames,
  textOf,
} from "#formats/jsdl-tree.ts";
import type { Node, Shape } from "#formats/jsdl-tree.ts";
import { formatLimits } from "#formats/limits.ts";
import { shown } from "#formats/problem.ts";
import type { MemberPlace, Place, Places } from "#formats/source.ts";
import { readXmlTree, XmlRefusal } from "#formats/xml-tree.ts";
import type { SourceResult } from "#formats/yaml-source.ts";

/**
 * JSDL 1.0 (GFD.136) with its POSIX application to the plain document that our YAML gives, with places. This file knows
 * the shape of the XML; what the values may be, job-schema.ts decides. Whatever is not read is refused by its name:
 * a job must not run without what its writer counted on. Where it runs, and with which secrets, JSDL cannot say: that
 * is told by elements of a vocabulary of ours (docs/reference/jobs.md).
 */
export function readJsdl(text: string): SourceResult {
  try {
    const root = resolveNames(readXmlTree(text));
    if (root.local !== "JobDefinition" || root.vocabulary !== "jsdl")
      throw new XmlRefusal(
        root.place,
        `<${root.local}> is not known as the root`,
        "the root is <JobDefinition>",
      );
    const reader = new JsdlReader();
    return { ok: true, source: { value: reader.job(root), places: reader.places } };
  } catch (error) {
    if (!(error instanceof XmlRefusal))
      return { ok: false, problem: { line: 1, column: 1, message: "this is not XML that can be read" } };
    const suggestion = error.suggestion === undefined ? {} : { suggestion: error.suggestion };
    return { ok: false, problem: { ...error.place, message: error.message, ...suggestion } };
  }
}

const inYaml = "a job file in YAML has no such thing either";
const byTimeLimit = "write <WallTimeLimit>";
const byMachine = "write <IndividualCPUCount> and <IndividualPhysicalMemory>";

const shapes = {
  definition: { read: ["JobDescription"], attributes: ["id"] },
  description: {
    read: ["JobIdentification", "Application", "Resources", "DataStaging"],
    many: ["DataStaging"],
  },
  identification: {
    read: ["JobName", "Description", "JobAnnotation"],
    many: ["JobAnnotation"],
    refused: { JobProject: "name it in <Description>" },
  },
  application: {
    read: ["ApplicationName", "ApplicationVersion", "Description", "POSIXApplication"],
    refused: {
      HPCProfileApplication: "write <POSIXApplication>",
      SPMDApplication: "write <POSIXApplication>",
    },
  },
  posix: {
    read: [
      "Executable",
      "Argument",
      "Input",
      "Output",
      "Error",
      "WorkingDirectory",
      "Environment",
      "WallTimeLimit",
    ],
    many: ["Argument", "Environment"],
    attributes: ["name"],
    refused: {
      CPUTimeLimit: byTimeLimit,
      FileSizeLimit: inYaml,
      CoreDumpLimit: inYaml,
      DataSegmentLimit: byMachine,
      LockedMemoryLimit: byMachine,
      MemoryLimit: byMachine,
      OpenDescriptorsLimit: inYaml,
      PipeSizeLimit: inYaml,
      StackSizeLimit: inYaml,
      ProcessCountLimit: inYaml,
      VirtualMemoryLimit: byMachine,
      ThreadCountLimit: inYaml,
      UserName: "it runs as the appliance's own user",
      GroupName: "it runs as the appliance's own user",
    },
  },
  resources: {
    read: [
      "CandidateHosts",
      "OperatingSystem",
      "IndividualCPUCount",
      "IndividualPhysicalMemory",
      "TotalCPUCount",
      "TotalPhysicalMemory",
      "TotalResourceCount",
      "Appliance",
      "Image",
      "Attempts",
    ],
    refused: {
      FileSystem: "name paths, not file systems",
      ExclusiveExecution: "a machine of its own is its own anyway",
      CPUArchitecture: "choose an image, or hosts",
      IndividualCPUSpeed: byMachine,
      IndividualCPUTime: byTimeLimit,
      IndividualNetworkBandwidth: "declare an ensemble with a link, and run it there",
      IndividualVirtualMemory: byMachine,
      IndividualDiskSpace: inYaml,
      TotalCPUTime: byTimeLimit,
      TotalVirtualMemory: byMachine,
      TotalDiskSpace: inYaml,
    },
  },
  staging: {
    read: ["FileName", "CreationFlag", "DeleteOnTermination", "Source", "Target", "Credentials"],
    attributes: ["name"],
    refused: { FilesystemName: "write a path in <FileName>" },
  },
} satisfies Record<string, Shape>;

type Entry = readonly [key: string, value: unknown, place: Place];

class JsdlReader {
  readonly places: Places = new WeakMap();

  job(root: Node): unknown {
    checkInside(root, shapes.definition);
    const description = required(root, "JobDescription");
    checkInside(description, shapes.description);
    const application = required(description, "Application");
    checkInside(application, shapes.application);
    const program = required(application, "POSIXApplication");
    checkInside(program, shapes.posix);
    const stagings = childrenOf(description, "DataStaging");
    return this.#map([
      ...this.#identification(childOf(description, "JobIdentification"), description),
      ...this.#program(program),
      ...this.#resources(childOf(description, "Resources"), description),
      ...this.#list("stageIn", stagings, "Source", (node) => this.#stageIn(node)),
      ...this.#list("stageOut", stagings, "Target", (node) => this.#stageOut(node)),
    ]);
  }

  #identification(node: Node | undefined, parent: Node): Entry[] {
    if (node === undefined) return [["job", "job", parent.place]];
    checkInside(node, shapes.identification);
    const named = childOf(node, "JobName");
    const words = [childOf(node, "Description"), ...childrenOf(node, "JobAnnotation")];
    const told = words.flatMap((one) => (one === undefined ? [] : [textOf(one)])).join("\n");
    return [
      ["job", named === undefined ? "job" : nameFrom(named), (named ?? node).place],
      ...(told === "" ? [] : [["description", told, node.place] as const]),
    ];
  }

  #program(program: Node): Entry[] {
    const words = [required(program, "Executable"), ...childrenOf(program, "Argument")];
    const variables = childrenOf(program, "Environment");
    const limit = childOf(program, "WallTimeLimit");
    const command = words.map((word) => this.#word(word));
    this.places.set(command, placesOf(words));
    const path = (key: string, local: string): Entry[] => {
      const node = childOf(program, local);
      return node === undefined ? [] : [[key, this.#word(node), node.place]];
    };
    return [
      ["command", command, words[0]?.place ?? program.place],
      ...(variables.length === 0
        ? []
        : [["env", this.#environment(variables), (variables[0] ?? program).place] as const]),
      ...path("directory", "WorkingDirectory"),
      ...path("stdin", "Input"),
      ...path("stdout", "Output"),
      ...path("stderr", "Error"),
      ...(limit === undefined ? [] : [["timeLimit", `${numberOf(limit)}s`, limit.place] as const]),
    ];
  }

  /** Spaces inside count: an argument may begin with one. */
  #word(node: Node): string {
    checkInside(node, { read: [], refused: {} });
    return node.local === "Argument" || node.local === "Environment" ? node.text : node.text.trim();
  }

  #environment(variables: readonly Node[]): unknown {
    const seen = new Set<string>();
    return this.#map(
      variables.map((node): Entry => {
        checkInside(node, { read: [], attributes: ["name"] });
        const name = node.attributes["name"];
        if (name === undefined || name === "__proto__")
          throw new XmlRefusal(node.place, '<Environment> needs the attribute "name"');
        if (seen.has(name)) throw new XmlRefusal(node.place, `${shown(name)} is given twice`);
        seen.add(name);
        return [name, node.text, node.place];
      }),
    );
  }

  #resources(node: Node | undefined, parent: Node): Entry[] {
    if (node === undefined) return [["machine", this.#map([]), parent.place]];
    checkInside(node, shapes.resources);
    refuseOtherSystems(childOf(node, "OperatingSystem"));
    const copies = childOf(node, "TotalResourceCount");
    if (copies !== undefined && leastOf(copies) !== 1)
      throw new XmlRefusal(copies.place, "a job runs in one machine", "submit it as often as it is to run");
    const attempts = childOf(node, "Attempts");
    const retry: Entry[] = attempts === undefined ? [] : [["retry", numberOf(attempts), attempts.place]];
    const appliance = childOf(node, "Appliance");
    const machine = this.#machine(node);
    if (appliance === undefined) return [["machine", this.#map(machine), node.place], ...retry];
    const [surplus] = machine;
    if (surplus !== undefined) {
      const message = "what a machine of its own needs is said of a job that runs in an appliance";
      throw new XmlRefusal(surplus[2], message, "leave it out, or leave <Appliance> out");
    }
    return [["appliance", textOf(appliance), appliance.place], ...retry];
  }

  #machine(node: Node): Entry[] {
    const hosts = childOf(node, "CandidateHosts");
    if (hosts !== undefined) checkInside(hosts, { read: ["HostName"], many: ["HostName"] });
    const cpu = childOf(node, "IndividualCPUCount") ?? childOf(node, "TotalCPUCount");
    const memory = childOf(node, "IndividualPhysicalMemory") ?? childOf(node, "TotalPhysicalMemory");
    const image = childOf(node, "Image");
    const names = childrenOf(hosts, "HostName");
    const list = names.map(textOf);
    this.places.set(list, placesOf(names));
    return [
      ...(hosts === undefined ? [] : [["hosts", list, hosts.place] as const]),
      ...(cpu === undefined ? [] : [["cpu", `${Math.round(leastOf(cpu) * 100)}%`, cpu.place] as const]),
      ...(memory === undefined ? [] : [["memory", `${Math.ceil(leastOf(memory))}B`, memory.place] as const]),
      ...(image === undefined ? [] : [["image", textOf(image), image.place] as const]),
      ...(image !== undefined && !/:\/\//.test(image.text) ? [["kind", "vm", image.place] as const] : []),
    ];
  }

  #list(key: string, stagings: readonly Node[], side: string, read: (node: Node) => unknown): Entry[] {
    for (const node of stagings) checkStaging(node);
    const those = stagings.filter((node) => childOf(node, side) !== undefined);
    const [first] = those;
    if (first === undefined) return [];
    const list = those.map(read);
    this.places.set(list, placesOf(those));
    return [[key, list, first.place]];
  }

  #stageIn(node: Node): unknown {
    const flag = childOf(node, "CreationFlag");
    const credentials = childOf(node, "Credentials");
    // What is also taken away is removed after that.
    const goes = isTrue(childOf(node, "DeleteOnTermination")) && childOf(node, "Target") === undefined;
    return this.#map([
      ["from", addressOf(required(node, "Source")), required(node, "Source").place],
      ["to", textOf(required(node, "FileName")), required(node, "FileName").place],
      ...(flag === undefined ? [] : [["ifThere", meaningOf(flag), flag.place] as const]),
      ...(goes ? [["delete", true, node.place] as const] : []),
      ...(credentials === undefined
        ? []
        : [["credentials", textOf(credentials), credentials.place] as const]),
    ]);
  }

  #stageOut(node: Node): unknown {
    const credentials = childOf(node, "Credentials");
    return this.#map([
      ["from", textOf(required(node, "FileName")), required(node, "FileName").place],
      ["to", addressOf(required(node, "Target")), required(node, "Target").place],
      ...(isTrue(childOf(node, "DeleteOnTermination")) ? [["delete", true, node.place] as const] : []),
      ...(credentials === undefined
        ? []
        : [["credentials", textOf(credentials), credentials.place] as const]),
    ]);
  }

  #map(entries: readonly Entry[]): Record<string, unknown> {
    const map = Object.fromEntries(entries.map(([key, value]) => [key, value]));
    this.places.set(map, new Map(entries.map(([key, , place]) => [key, { key: place, value: place }])));
    return map;
  }
}

const placesOf = (nodes: readonly Node[]): Map<number, MemberPlace> =>
  new Map(nodes.map(({ place }, index) => [index, { key: place, value: place }]));

function required(node: Node, local: string): Node {
  const child = childOf(node, local);
  if (child !== undefined) return child;
  throw new XmlRefusal(node.place, `<${node.local}> has no <${local}>`);
}

function checkStaging(node: Node): void {
  checkInside(node, shapes.staging);
  if (childOf(node, "Source") === undefined && childOf(node, "Target") === undefined) {
    const message = "<DataStaging> has neither <Source> nor <Target>";
    throw new XmlRefusal(node.place, message, "say where the file comes from or goes to");
  }
}

function addressOf(node: Node): string {
  checkInside(node, { read: ["URI"] });
  return textOf(required(node, "URI"));
}

const flags: Readonly<Record<string, string>> = {
  overwrite: "overwrite",
  append: "append",
  dontOverwrite: "keep",
};

function meaningOf(flag: Node): string {
  const text = textOf(flag);
  const meaning = Object.hasOwn(flags, text) ? flags[text] : undefined;
  if (meaning !== undefined) return meaning;
  const expected = Object.keys(flags).join(", ");
  throw new XmlRefusal(flag.place, `expected one of ${expected} in <CreationFlag>, not ${shown(text)}`);
}

function isTrue(node: Node | undefined): boolean {
  if (node === undefined) return false;
  const text = textOf(node);
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new XmlRefusal(node.place, `expected true or false in <${node.local}>, not ${shown(text)}`);
}

function refuseOtherSystems(system: Node | undefined): void {
  if (system === undefined) return;
  checkInside(system, { read: ["OperatingSystemType"] });
  const type = required(system, "OperatingSystemType");
  checkInside(type, { read: ["OperatingSystemName"] });
  const name = required(type, "OperatingSystemName");
  if (textOf(name) !== "LINUX")
    throw new XmlRefusal(name.place, `${shown(textOf(name))} is not supported`, "write LINUX");
}

/** "My Job #3" → "my-job-3". */
function nameFrom(node: Node): string {
  const text = textOf(node).toLowerCase();
  if (text.length <= formatLimits.nameLength && namePattern.test(text)) return text;
  const name = text
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, formatLimits.nameLength)
    .replace(/-+$/, "");
  if (name !== "") return name;
  throw new XmlRefusal(node.place, `${shown(textOf(node))} has no letter a name could be made of`);
}

import { bytes, mebibytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { bytesText, durationText } from "#formats/units.ts";
import type { Adjustment, ApplianceSpec } from "#model/ensemble.ts";
import type { VmSpec } from "#model/vm.ts";

/** Less than any guest boots in, and a disk that holds no file system. */
const memoryBytesMin = mebibytes(32);
const diskBytesMin = mebibytes(1);
const checkpointEveryMsMin = millis(1000);

/** Where a vm's image comes from, when it is no name of the catalogue. */
const imageSchemes = ["file", "http", "https", "sftp", "ftp", "s3", "webhdfs"] as const;

/** What the kind of an appliance, its image and what it asks for must be to each other. */
export function kindFindings(spec: ApplianceSpec, path: Path): Finding[] {
  return spec.kind === "vm" && spec.vm !== undefined
    ? [...vmImageFindings(spec, path), ...vmFindings(spec, spec.vm, path)]
    : taskImageFindings(spec, path);
}

function taskImageFindings({ image }: ApplianceSpec, path: Path): Finding[] {
  if (image === undefined || image.includes("://")) return [];
  const message = `"${image}" is the name of an image; a task's root is given by its URL`;
  const suggestion = "write kind: vm, or an image such as dir:///srv/roots/web";
  return [{ path: [...path, "image"], message, suggestion }];
}

function vmImageFindings({ image = "" }: ApplianceSpec, path: Path): Finding[] {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(image)?.[1];
  if (scheme === undefined || (imageSchemes as readonly string[]).includes(scheme)) return [];
  const message =
    scheme === "dir"
      ? "a vm boots from a disk, not from a directory"
      : `a vm's image cannot be fetched by ${scheme}`;
  const suggestion = `write an image's name in the catalogue such as debian, or a URL of ${imageSchemes.join(", ")}`;
  return [{ path: [...path, "image"], message, suggestion }];
}

function vmFindings(spec: ApplianceSpec, vm: VmSpec, path: Path): Finding[] {
  const { memoryBytes = bytes(0), enforcement } = spec;
  const at: Path = [...path, "vm"];
  const findings: Finding[] = [];
  const least = bytesText(memoryBytesMin);
  if (memoryBytes < memoryBytesMin) {
    const message = `${bytesText(memoryBytes)} of memory, no guest boots in less than ${least}`;
    findings.push({ path: [...path, "memory"], message, suggestion: "write memory: 128MiB" });
  }
  if (enforcement === "deadline") {
    const message = "a vm's reservation is kept for all its threads together, which deadline cannot do";
    const suggestion = "write enforcement: bandwidth or dispatch-table";
    findings.push({ path: [...path, "enforcement"], message, suggestion });
  }
  if (vm.memoryBytesMax < memoryBytes) {
    const message = `memoryMax is ${bytesText(vm.memoryBytesMax)}, below its memory of ${bytesText(memoryBytes)}`;
    findings.push({ path: [...at, "memoryMax"], message });
  }
  if (vm.machine === "microvm" && vm.memoryBytesMax > memoryBytes) {
    const message = "a microvm gets no more memory while it runs";
    const suggestion = "write machine: q35 or auto, or leave memoryMax out";
    findings.push({ path: [...at, "memoryMax"], message, suggestion });
  }
  return [...findings, ...processorFindings(vm, at), ...diskFindings(vm, at)];
}

/** What a vm was resized to while it runs; limits of its disks have no bounds. */
export function adjustedMachineFindings(
  spec: ApplianceSpec | undefined,
  { memoryBytes, vcpus, disk }: Pick<Adjustment, "memoryBytes" | "vcpus" | "disk">,
  path: Path,
): Finding[] {
  if (spec === undefined) return [];
  if (spec.vm !== undefined) {
    return [
      ...adjustedMemoryFindings(spec.vm, memoryBytes, path),
      ...adjustedProcessorFindings(spec.vm, vcpus, path),
    ];
  }
  const given = [...(vcpus === undefined ? [] : ["vcpus"]), ...(disk === undefined ? [] : ["disk"])];
  return given.map((key) => ({ path: [...path, key], message: "only a virtual machine has these" }));
}

function adjustedProcessorFindings(vm: VmSpec, adjusted: number | undefined, path: Path): Finding[] {
  if (adjusted === undefined) return [];
  const at: Path = [...path, "vcpus"];
  if (adjusted > vm.vcpusMax) {
    const message = `${adjusted} virtual processors, its guest can have at most ${vm.vcpusMax} without a restart`;
    const suggestion = `declare vm: {vcpusMax: ${adjusted}} in its file and bring that up, which restarts it`;
    return [{ path: at, message, suggestion }];
  }
  if (vm.machine !== "microvm" || adjusted === vm.vcpusMax) return [];
  const message = "a microvm keeps the processors it began with";
  return [{ path: at, message, suggestion: "declare machine: q35 or auto in its file" }];
}

function adjustedMemoryFindings(vm: VmSpec, adjusted: Bytes | undefined, path: Path): Finding[] {
  if (adjusted === undefined) return [];
  const most = vm.memoryBytesMax;
  if (adjusted > most) {
    const message = `${bytesText(adjusted)} of memory, its guest can have at most ${bytesText(most)} without a restart`;
    const suggestion = `declare vm: {memoryMax: ${bytesText(adjusted)}} in its file and bring that up, which restarts it`;
    return [{ path: [...path, "memory"], message, suggestion }];
  }
  if (adjusted >= memoryBytesMin) return [];
  const message = `${bytesText(adjusted)} of memory, no guest runs in less than ${bytesText(memoryBytesMin)}`;
  return [{ path: [...path, "memory"], message }];
}

function processorFindings({ machine, vcpus, vcpusMax }: VmSpec, path: Path): Finding[] {
  const at: Path = [...path, "vcpusMax"];
  if (vcpusMax < vcpus) {
    const message = `vcpusMax is ${vcpusMax}, below its ${vcpus} virtual processors`;
    return [{ path: at, message, suggestion: `write vcpusMax: ${vcpus} or more` }];
  }
  if (machine !== "microvm" || vcpusMax === vcpus) return [];
  const message = "a microvm gets no more processors while it runs";
  return [{ path: at, message, suggestion: "write machine: q35 or auto, or leave vcpusMax out" }];
}

function diskFindings({ software, homeBytes, swapBytes, checkpoint }: VmSpec, path: Path): Finding[] {
  const findings = software.flatMap((name, index): Finding[] =>
    software.indexOf(name) === index
      ? []
      : [{ path: [...path, "software", index], message: `"${name}" is listed twice` }],
  );
  const sizes = [
    ["home", homeBytes],
    ["swap", swapBytes],
  ] as const;
  for (const [key, size] of sizes) {
    if (size === undefined || size >= diskBytesMin) continue;
    const message = `a disk of ${bytesText(size)}, at least ${bytesText(diskBytesMin)} is needed`;
    findings.push({ path: [...path, key], message });
  }
  if (checkpoint !== undefined && checkpoint.everyMs < checkpointEveryMsMin) {
    const message = `more often than every ${durationText(checkpointEveryMsMin)}`;
    findings.push({ path: [...path, "checkpoint"], message });
  }
  return findings;
}

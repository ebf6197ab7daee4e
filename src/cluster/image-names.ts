import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Image } from "#model/image.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

/** The image that a name, or the address it is fetched from, stands for now; undefined: the catalogue has none. */
export type ImageLookup = (name: string) => Image | undefined;

export type NamedImages = Readonly<Record<string, Image>>;

type Use = { readonly appliance: ApplianceId; readonly role: Image["role"] };

/** Every image an ensemble names for its virtual machines, and for whom. */
function usesOf(ensemble: Ensemble): Map<string, Use[]> {
  const uses = new Map<string, Use[]>();
  const add = (name: string, use: Use): void => {
    const known = uses.get(name);
    if (known === undefined) uses.set(name, [use]);
    else known.push(use);
  };
  for (const { id, spec } of appliancesOf(ensemble)) {
    if (spec.vm === undefined) continue;
    if (spec.image !== undefined) add(spec.image, { appliance: id, role: "base" });
    for (const name of spec.vm.software) add(name, { appliance: id, role: "software" });
  }
  return uses;
}

/** What is not there, or cannot serve as what it is named for. */
export function imageRefusals(ensemble: Ensemble, lookup: ImageLookup): PlanResult["refusals"] {
  return [...usesOf(ensemble)].flatMap(([name, uses]) => {
    const image = lookup(name);
    const isStrange = image !== undefined && !machineArchitectures.includes(image.architecture);
    const wrong = uses.find(({ role }) => image?.role !== role || isStrange);
    if (wrong === undefined) return [];
    const message = `Cannot make ${wrong.appliance}: ${imageProblem(name, image, wrong.role)}`;
    return [{ subject: wrong.appliance, message, remedy: remedyFor(image) }];
  });
}

/** As Debian and kernels call what runs on the processors that machines have. */
const machineArchitectures: readonly string[] = ["amd64", "x86_64", "i386", "i686", "all"];

function imageProblem(name: string, image: Image | undefined, role: Image["role"]): string {
  if (image === undefined) return `no image "${name}" is in the catalogue`;
  if (image.role !== role)
    return `"${name}" is an image for ${roleWords[image.role]}, one for ${roleWords[role]} was wanted`;
  return `"${name}" is an image for ${image.architecture} processors, one for amd64 was wanted`;
}

const remedyFor = (image: Image | undefined): string =>
  image === undefined
    ? "Build it (consort image build) or register it (consort image add, upload); what there is: consort image ls"
    : "Name another one: consort image ls";

const roleWords: Readonly<Record<Image["role"], string>> = {
  base: "a machine to boot from",
  software: "/opt",
  root: "tasks",
};

/** All an ensemble names, as they are now. Throws `unsatisfiable` where one is missing or of the wrong role. */
export function imagesNamed(ensemble: Ensemble, lookup: ImageLookup): NamedImages {
  const refusals = imageRefusals(ensemble, lookup);
  const [first] = refusals;
  if (first !== undefined) {
    throw new ConsortError("unsatisfiable", `${first.message}; ${first.remedy}`, { details: { refusals } });
  }
  return Object.fromEntries([...usesOf(ensemble).keys()].map((name) => [name, lookup(name)!]));
}

/** What of an image a machine is made from: another name or origin makes no other machine. */
export function imageContent({ architecture, disk, boot, features }: Image): unknown {
  return {
    architecture,
    features,
    ...(disk === undefined ? {} : { disk }),
    ...(boot === undefined ? {} : { boot }),
  };
}

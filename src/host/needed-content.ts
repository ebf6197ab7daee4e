import { blobsOf } from "#model/image.ts";
import type { BlobRef, Digest, Image } from "#model/image.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { ImportReport } from "#protocol/host-report.ts";

/** What a host's plan asks of its content. Pure. */
export type NeededContent = {
  /** To be fetched if it is not there, once each. */
  readonly fetch: ReadonlyMap<Digest, { readonly blob: BlobRef; readonly image: Image }>;
  /** Not to be removed, whether or not it is there. */
  readonly keep: ReadonlySet<Digest>;
};

export function neededContent(plan: HostPlan, imports: readonly ImportReport[]): NeededContent {
  const images = [...(plan.images ?? []), ...plan.appliances.flatMap(imagesOf)];
  const fetch = new Map(
    images.flatMap((image) => blobsOf(image).map((blob) => [blob.digest, { blob, image }] as const)),
  );
  const parts = plan.appliances.flatMap(({ vm }) =>
    (vm?.restore?.checkpoints ?? []).flatMap(({ disks, memory }) => [
      ...disks.map(({ content }) => content.digest),
      ...(memory === undefined ? [] : [memory.digest]),
    ]),
  );
  const uploaded = (plan.imports ?? []).flatMap(({ image: { disk, boot } }) =>
    [disk, ...(boot?.kind === "kernel" ? [boot.kernel, boot.initrd] : [])].flatMap((source) =>
      source?.kind === "blob" ? [source.blob.digest] : [],
    ),
  );
  const brought = imports.flatMap(({ content }) => (content === undefined ? [] : digestsOf(content)));
  return {
    fetch,
    keep: new Set([...fetch.keys(), ...parts, ...uploaded, ...brought, ...(plan.blobs?.keep ?? [])]),
  };
}

/** Images of a virtual machine; a task has none. */
export const imagesOf = ({ vm }: AppliancePlan): readonly Image[] =>
  vm === undefined ? [] : [vm.base, ...vm.software];

const digestsOf = ({ disk, boot }: Pick<Image, "disk" | "boot">): Digest[] => [
  ...(disk === undefined ? [] : [disk.digest]),
  ...(boot?.kind === "kernel"
    ? [boot.kernel.digest, ...(boot.initrd === undefined ? [] : [boot.initrd.digest])]
    : []),
];

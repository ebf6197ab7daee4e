import { bytes, formatBytes } from "#base/units.ts";
import { age, size } from "#cli/quantities.ts";
import { formatTable, printableLines } from "#cli/table.ts";
import type { ImageStatus } from "#protocol/http/image.ts";

/** "importing 12MiB of 40MiB". */
export function imageState({ state, doneBytes, totalBytes, message }: ImageStatus): string {
  const total = totalBytes === undefined ? "" : ` of ${formatBytes(bytes(totalBytes))}`;
  const done =
    state === "importing" && doneBytes !== undefined ? ` ${formatBytes(bytes(doneBytes))}${total}` : "";
  return `${state}${done}${message === undefined ? "" : `: ${message}`}`;
}

export function formatImages(images: readonly ImageStatus[], nowMs: number, width?: number): string {
  if (images.length === 0) return "No images. Make one: consort image build tiny\n";
  return formatTable<ImageStatus>(
    [
      { heading: "IMAGE", cell: ({ name }) => name },
      {
        heading: "FOR",
        cell: ({ role }) => (role === "base" ? "machines" : role === "root" ? "tasks" : "/opt"),
      },
      {
        heading: "SIZE",
        right: true,
        cell: ({ sizeBytes }) => (sizeBytes === undefined ? "-" : size(sizeBytes)),
      },
      {
        heading: "DISK",
        right: true,
        cell: ({ virtualBytes }) => (virtualBytes === undefined ? "-" : size(virtualBytes)),
      },
      { heading: "COPIES", right: true, cell: ({ copies }) => String(copies.length) },
      { heading: "AGE", right: true, cell: ({ registeredAtMs }) => age(registeredAtMs, nowMs) },
      { heading: "USED BY", optional: true, cell: ({ usedBy }) => usedBy.join(", ") || "-" },
      { heading: "STATE", cell: imageState },
    ],
    images,
    width,
  );
}

export function describeImage(image: ImageStatus): string {
  const rows: readonly [string, string | undefined][] = [
    ["Name", image.name],
    ["State", imageState(image)],
    ["Role", image.role],
    ["Architecture", image.architecture],
    ["Features", image.features.join(", ") || "none"],
    ["Boots", image.boots === undefined ? undefined : `from its ${image.boots}`],
    [
      "Disk",
      image.format === undefined
        ? undefined
        : `${image.format}, ${size(image.virtualBytes ?? 0)} as seen by a guest`,
    ],
    ["Size", image.sizeBytes === undefined ? undefined : size(image.sizeBytes)],
    ["From", image.origin],
    ["Copies", image.copies.join(", ") || "none"],
    ["Used by", image.usedBy.join(", ") || "nobody"],
    ["Content", image.content.join("\n              ") || undefined],
  ];
  return rows
    .flatMap(([name, text]) =>
      text === undefined ? [] : [`${`${name}:`.padEnd(14)}${printableLines(text)}\n`],
    )
    .join("");
}

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { readXmlTree } from "#formats/xml-tree.ts";
import type { Address } from "./address.ts";
import { curl } from "./curl.ts";
import { transferLimits } from "./limits.ts";
import { partsOf } from "./s3-parts.ts";
import { keyOf, md5Of, signed } from "./s3-request.ts";
import { escaped } from "./s3-sign.ts";

/**
 * Has the store copy an object of the same bucket. True: what is at `to` now is what `file` holds, by the tag that the
 * store gives it. Else there may be anything: it is to be written. A store that encrypts with keys of its own gives no
 * such tags, and one object may be too large for it to copy at once.
 */
export async function copyWithin(
  from: Address,
  to: Address,
  file: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (from.authority !== to.authority) return false;
  const source = `/${[from.authority, ...keyOf(from).split("/")].map(escaped).join("/")}`;
  const headers = { "x-amz-copy-source": source };
  const { text } = await curl(
    to,
    {
      options: [
        ["url", signed(to, { method: "PUT", key: keyOf(to), headers })],
        ["request", "PUT"],
        ["header", `x-amz-copy-source: ${source}`],
      ],
    },
    signal,
  );
  const { name, children } = readXmlTree(text);
  const tag = children.find((one) => one.name === "ETag")?.text.replace(/^"|"$/g, "");
  if (name !== "CopyObjectResult" || tag === undefined) return false;
  const whole = (await md5Of(file, {}, signal)).toString("hex");
  return tag === whole || (tag.includes("-") && tag === (await tagInParts(file, signal)));
}

/** Of what was sent in parts, as this program does it. */
async function tagInParts(file: string, signal: AbortSignal): Promise<string | undefined> {
  const { size } = await stat(file);
  if (size <= transferLimits.transferS3PartBytes) return undefined;
  const parts = partsOf(size);
  const all = createHash("md5");
  for (const part of parts) all.update(await md5Of(file, part, signal));
  return `${all.digest("hex")}-${parts.length}`;
}

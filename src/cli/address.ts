import { readFile } from "node:fs/promises";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Arguments } from "#cli/arguments.ts";
import type { Surroundings } from "#cli/command.ts";

export type ApiAddress = { readonly url: string; readonly token?: string };

/**
 * Where the manager listens: `--api`, else CONSORT_API, else what the manager of the lab wrote into its api.json.
 * Throws `unavailable` when no manager has told, `bad_input` for an address that is none.
 */
export async function findApi(given: Arguments, surroundings: Surroundings): Promise<ApiAddress> {
  const lab = given.text("lab");
  // A lab named on the command line is meant, whatever the environment says.
  const told = given.text("api") ?? (lab === undefined ? surroundings.apiUrl : undefined);
  const tokenFile = given.text("token-file") ?? (lab === undefined ? surroundings.tokenFile : undefined);
  if (told !== undefined) return { url: checkedUrl(told), ...(await tokenFrom(tokenFile)) };
  const found = await labApi(lab ?? surroundings.lab, surroundings.runRoot);
  return { url: checkedUrl(found.url), ...(await tokenFrom(tokenFile ?? found.tokenFile)) };
}

async function labApi(lab: string, runRoot: string): Promise<{ url: string; tokenFile?: string }> {
  if (!/^[\w-]{1,64}$/.test(lab))
    throw new ConsortError("bad_input", `Cannot use "${lab}" as a lab's name: wanted letters, digits and _`);
  const file = `${runRoot}/labs/${lab}/api.json`;
  const start = `start one with: sudo consort lab up${lab === "lab" ? "" : ` --lab ${lab}`}`;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if (isMissing(cause))
      throw new ConsortError(
        "unavailable",
        `Cannot reach a manager: lab "${lab}" is not running (no ${file}); ${start}, or name one with --api URL`,
        { cause },
      );
    throw new ConsortError("unavailable", `Cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
  const value = asRecord(text);
  const url = value["url"];
  const tokenFile = value["tokenFile"];
  if (typeof url !== "string")
    throw new ConsortError("unavailable", `Cannot reach a manager: ${file} names no url; ${start}`);
  return { url, ...(typeof tokenFile === "string" ? { tokenFile } : {}) };
}

function asRecord(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol))
    throw new ConsortError(
      "bad_input",
      `Cannot use "${text}" as a manager's address: wanted one like http://127.0.0.1:7070`,
    );
  return text.replace(/\/+$/, "");
}

async function tokenFrom(file: string | undefined): Promise<{ token?: string }> {
  if (file === undefined) return {};
  try {
    return { token: (await readFile(file, "utf8")).trim() };
  } catch (cause) {
    const who = isMissing(cause) ? "there is no such file" : "only its owner may; try with sudo";
    throw new ConsortError("unauthenticated", `Cannot read the access token in ${file}: ${who}`, { cause });
  }
}

const isMissing = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "code" in cause && cause.code === "ENOENT";

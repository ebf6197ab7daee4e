import { Buffer } from "node:buffer";
import type { GuestContext } from "./content.ts";
import { contextLimits } from "./limits.ts";

/**
 * What is said at the virtio-serial port "consort.context", in lines.
 *
 *   host → guest   hello                      are you there?
 *   guest → host   hello 1                    yes, with this version; then again what was told last
 *   host → guest   context <bytes>            and so many bytes: a tar archive (GuestContext.archive)
 *   guest → host   applied <instance>         it is that one now: names, addresses, keys, entropy, clock, files
 *   guest → host   failed <instance|->        it is, but a step failed; its console tells which
 *   guest → host   exited <code>              the command ended (128 + number, by a signal); the guest runs on
 *
 * A guest that boots with a context disk tells `applied` or `failed` by itself. A guest resumed from a snapshot waits in
 * a read here, so a context sent to it is taken up at once. An instance told twice is applied twice, but its command is
 * run once. The host sends the next context only after the guest has answered. A short command may be told to have
 * ended before its context is told to be applied. While nobody is connected the guest waits with what it tells; `hello`
 * makes it tell the last of it again. Nothing a guest says is believed beyond itself: lines are short, anything else is
 * passed over.
 */
export type GuestMessage =
  | { readonly kind: "hello"; readonly version: number }
  | { readonly kind: "applied" | "failed"; readonly instance: string }
  | { readonly kind: "exited"; readonly code: number };

export const helloMessage: Uint8Array = Buffer.from("hello\n");

export function contextMessage({ archive }: GuestContext): Uint8Array {
  return Buffer.concat([Buffer.from(`context ${archive.length}\n`), archive]);
}

/** Undefined for what is none of these. */
export function parseGuestMessage(line: string): GuestMessage | undefined {
  const [, verb, word] = /^(hello|applied|failed|exited) ([A-Za-z0-9-]{1,64})\r?$/.exec(line) ?? [];
  if (verb === undefined || word === undefined) return undefined;
  if (verb === "applied" || verb === "failed") return { kind: verb, instance: word };
  const value = /^\d{1,5}$/.test(word) ? Number(word) : undefined;
  if (value === undefined) return undefined;
  return verb === "hello" ? { kind: "hello", version: value } : { kind: "exited", code: value };
}

/** Turns what arrives into messages; a guest that never ends its line costs no more than one short line. */
export class GuestLines {
  #rest = "";
  #isOverlong = false;

  push(chunk: Uint8Array): readonly GuestMessage[] {
    const messages: GuestMessage[] = [];
    const lines = Buffer.from(chunk).toString("latin1").split("\n");
    lines.forEach((part, index) => {
      if (!this.#isOverlong) this.#rest += part.slice(0, contextLimits.lineLengthMax + 1);
      if (this.#rest.length > contextLimits.lineLengthMax) this.#isOverlong = true;
      if (index === lines.length - 1) return;
      const message = this.#isOverlong ? undefined : parseGuestMessage(this.#rest);
      if (message !== undefined) messages.push(message);
      this.#rest = "";
      this.#isOverlong = false;
    });
    return messages;
  }
}

import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { applianceIn } from "#cli/logs.ts";
import type { ConsoleLine } from "#protocol/http/console.ts";

/** Ctrl-]: what telnet and virsh leave by, too. */
const leaveKey = 0x1d;

export const command: Command = {
  usage: ["console NAME/APPLIANCE"],
  options: apiOptions,
  about: [
    "Shows the serial console of a virtual machine, and types into it what is typed here. Ctrl-] leaves; the machine goes\non. Several may look at one console at a time, and all of them type into the same line.",
    "All that the guest writes reaches the terminal as it is, as on a serial line; consort logs shows what it wrote before,\nand keeps a terminal from what could take it over. Guests that consort image build made give a shell when Enter\nis pressed.",
  ],
  examples: [
    { line: "consort console shop/db", what: "press Enter: a shell where the network does not help" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const [ensemble, appliance] = applianceIn(given.positionals[0] ?? "");
    const client = await connect(given, context);
    const { terminal } = context;
    const left = new AbortController();
    const signal = AbortSignal.any([context.signal, left.signal]);
    const where = route`/v1/ensembles/${ensemble}/appliances/${appliance}/console`;
    try {
      for await (const line of client.lines("POST", where, signal)) {
        if (line === "") continue;
        const told = JSON.parse(line) as ConsoleLine;
        if ("error" in told) throw refusal(told.error);
        if ("ended" in told) break;
        if ("dataBase64" in told) terminal.out(Buffer.from(told.dataBase64, "base64"));
        else {
          terminal.err(`Connected to ${ensemble}/${appliance}; Ctrl-] leaves\r\n`);
          void typeInto(client, told.session, terminal.keys(signal), left);
        }
      }
    } catch (cause) {
      if (!left.signal.aborted) throw cause;
    } finally {
      left.abort();
    }
    return 0;
  },
};

/** Hands on keys one after the other, until the one that leaves, or the end of the input. */
async function typeInto(
  client: Client,
  session: string,
  keys: AsyncIterable<Uint8Array>,
  left: AbortController,
): Promise<void> {
  try {
    for await (const chunk of keys) {
      const end = chunk.indexOf(leaveKey);
      const typed = end < 0 ? chunk : chunk.subarray(0, end);
      if (typed.length > 0) {
        const body = { dataBase64: Buffer.from(typed).toString("base64") };
        await client.request("POST", route`/v1/consoles/${session}`, left.signal, body);
      }
      if (end >= 0) return left.abort();
    }
  } catch {
    // The console is closed, which ends the command.
  }
}

const refusal = ({ code, message }: { readonly code: string; readonly message: string }): ConsortError =>
  new ConsortError(code as ConsortError["code"], message);

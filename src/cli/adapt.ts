import type { Arguments } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { conclude, follow } from "#cli/follow.ts";
import type { Operation } from "#protocol/http/operation.ts";

export type Adaptation = {
  readonly verb: "resize" | "suspend" | "resume" | "migrate" | "restore";
  readonly ensemble: string;
  readonly body: unknown;
  /** As the user named it. */
  readonly about: string;
};

/** Asks for a change of what runs and, unless told otherwise, waits until it is in force. Resolves with the exit code. */
export async function adapt(
  { verb, ensemble, body, about }: Adaptation,
  given: Arguments,
  context: CommandContext,
): Promise<number> {
  const client = await connect(given, context);
  const path = `${route`/v1/ensembles/${ensemble}`}/${verb}`;
  // Not cut off by Ctrl-C: afterwards we could not say whether it was accepted.
  const accepted = await client.request<Operation>("POST", path, context.afterwards, body);
  const json = given.has("json");
  if (given.has("detach")) {
    if (json) context.terminal.out(`${JSON.stringify(accepted, undefined, 2)}\n`);
    else context.terminal.out(`The ${verb} of ${about} is accepted: operation ${accepted.id}\n`);
    return 0;
  }
  return conclude(await follow(client, accepted, context, { quiet: json }), json, context);
}

/** "shop" is all of it, "shop/web" one appliance or all its replicas; all of one ensemble. */
export function partsOf(subject: string): {
  readonly ensemble: string;
  readonly appliances: readonly string[];
} {
  const [ensemble = "", appliance] = subject.split("/", 2);
  return { ensemble, appliances: appliance === undefined || appliance === "" ? [] : [appliance] };
}

import { jobPlaces } from "#drivers/appliance/task/job-groups.ts";
import { applianceNameOf } from "#drivers/appliance/task/names.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { domainOf, namingAddressIn } from "#protocol/naming-address.ts";

/** What a program gets where its plan says nothing. */
const defaultEnv = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/tmp",
  LANG: "C.UTF-8",
} as const;

const rootUid = 0;
/** As many as resolvers look at. */
const resolverServersMax = 3;

/** Lines of fields between tabs, as supervisor.pl reads them. */
export function line(...fields: readonly (string | number)[]): string {
  return `${fields.map((field) => encodeURIComponent(field)).join("\t")}\n`;
}

/** What the supervisor is to lay in and run, as the text of its spec file. */
export function commandSpec(plan: AppliancePlan, uid: number): string {
  const name = applianceNameOf(plan.id);
  return [
    line("hostname", name),
    line("leased", plan.leased === true ? 1 : 0),
    line("file", "/etc/hostname", "644", rootUid, `${name}\n`),
    ...(plan.interfaces.length === 0
      ? []
      : [line("file", "/etc/resolv.conf", "644", rootUid, resolverText(plan))]),
    ...plan.files.map((file) => line("file", file.path, file.mode.toString(8), uid, file.content)),
    line("restart", plan.restart.when, plan.restart.backoffMsMin, plan.restart.backoffMsMax),
    programSpec({ ...plan, env: { HOSTNAME: name, ...plan.env } }),
    ...jobPlaces(plan.teams).map(({ team, number, group, command }) =>
      line("job", team, number, group, ...command),
    ),
  ].join("");
}

/** The part of it that a program run beside the command needs. */
export function programSpec(program: {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly directory?: string;
}): string {
  return [
    line("directory", program.directory ?? "/"),
    ...Object.entries({ ...defaultEnv, ...program.env }).map(([key, value]) => line("env", key, value)),
    ...program.command.map((argument) => line("arg", argument)),
  ].join("");
}

/** The text of /etc/resolv.conf: its networks' own servers, which know its ensemble and nothing else. */
function resolverText({ id, interfaces }: AppliancePlan): string {
  const servers = interfaces.map(({ address, prefixLength }) =>
    namingAddressIn(`${address}/${prefixLength}`),
  );
  return [
    `search ${domainOf(id.slice(0, id.indexOf("/")))}`,
    ...servers.slice(0, resolverServersMax).map((server) => `nameserver ${server}`),
    "options timeout:1 attempts:2",
    "",
  ].join("\n");
}

/** The text of /etc/hosts: the machine itself, then its ensemble. */
export function hostsText(name: string, names: ReadonlyMap<string, string>): string {
  const own = names.has(name) ? [] : [`127.0.1.1\t${name}`];
  return [
    "127.0.0.1\tlocalhost",
    ...own,
    ...[...names].map(([other, address]) => `${address}\t${other}`),
    "",
  ].join("\n");
}

import { join } from "node:path";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { JobDriver, JobSpool } from "#drivers/job/port.ts";
import { runInside } from "#drivers/job/run-inside.ts";
import { ShellJobs } from "#drivers/job/shell-jobs.ts";
import { spoolFiles } from "#drivers/job/spool-files.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { HostConfig } from "#lab/config.ts";
import { outside } from "#main/host-content.ts";
import type { Manager } from "#main/process.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";
import type { SecretBody, SecretResult } from "#protocol/topics.ts";

/** Where jobs may read and write files of a host that says nothing else. */
const stagingDirectories = ["/srv/consort"];

/** What shells in guests need of files. Gone after a restart of the machine, as its guests are. */
export const sshDirectory = ({ runDir }: Pick<HostConfig, "runDir">): string => join(runDir, "ssh");

/** What a host runs jobs with: in task machines by their driver, in guests over SSH. */
export function jobParts(
  { config, clock }: Manager<HostConfig>,
  appliances: ApplianceDriver,
  messaging: Messaging,
): { readonly driver: JobDriver; readonly spool: JobSpool } {
  const directory = join(config.stateDir, "jobs");
  const driver = new ShellJobs({
    run: runInside(appliances, { directory: sshDirectory(config) }),
    transfer: openTransfer({
      clock,
      roots: config.stagingDirectories ?? stagingDirectories,
      ...outside(config),
    }),
    secret: async (name, signal) => {
      const body: SecretBody = { host: config.host, name };
      const answer = await messaging.request(clusterAddress, topics.secret, body, signal);
      return (answer as SecretResult).fields;
    },
    directory: join(directory, "files"),
  });
  return { driver, spool: spoolFiles(join(directory, "spool")) };
}

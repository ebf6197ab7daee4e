import { join } from "node:path";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { JobDriver } from "#drivers/job/port.ts";
import { shellJobs } from "#drivers/job/shell-jobs.ts";
import { spoolFiles } from "#drivers/job/spool-files.ts";
import type { JobSpool } from "#drivers/job/spool.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { HostConfig } from "#lab/config.ts";
import type { Manager } from "#main/process.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";
import type { SecretBody, SecretResult } from "#protocol/topics.ts";

/** Where jobs may read and write files of a host that says nothing else. */
const stagingDirectories = ["/srv/consort"];

/** What a host runs jobs with: in task machines by their driver, in guests over SSH. */
export function jobParts(
  { config, clock }: Manager<HostConfig>,
  appliances: ApplianceDriver,
  messaging: Messaging,
): { readonly driver: JobDriver; readonly spool: JobSpool } {
  const directory = join(config.stateDir, "jobs");
  const driver = shellJobs({
    run: (id, request, signal) => appliances.exec(id, request, signal),
    transfer: openTransfer({ clock, roots: config.stagingDirectories ?? stagingDirectories }),
    secret: async (name, signal) => {
      const body: SecretBody = { host: config.host, name };
      const answer = await messaging.request(clusterAddress, topics.secret, body, signal);
      return (answer as SecretResult).fields;
    },
    directory: join(directory, "files"),
  });
  return { driver, spool: spoolFiles(join(directory, "spool")) };
}

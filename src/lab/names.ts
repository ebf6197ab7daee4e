import { ConsortError } from "#base/errors.ts";

/**
 * Everything a lab makes carries its name, and this file says how. A lab's name has no hyphen and a node's no dot,
 * so that the prefix of one lab ("cst-red-") is never the beginning of another's.
 */
const labNamePattern = /^[a-z][a-z0-9_]{0,15}$/;
const nodeNamePattern = /^[a-z][a-z0-9-]{0,62}$/;

/** Where labs live on this machine: "/var/lib/consort" and "/run/consort" unless the user says otherwise. */
export type LabPlace = {
  readonly name: string;
  readonly stateRoot: string;
  readonly runRoot: string;
};

export type LabPaths = {
  readonly stateDir: string;
  readonly runDir: string;
  readonly recordFile: string;
  readonly lockFile: string;
  readonly logsDir: string;
  readonly pidsDir: string;
  readonly configsDir: string;
  readonly programsFile: string;
  /** Names the nodes that have no power. */
  readonly powerFile: string;
  /** Locked by the supervisor, and says which process that is. */
  readonly supervisorFile: string;
  readonly tokenFile: string;
  readonly bus: string;
  readonly apiFile: string;
};

export function labPaths(place: LabPlace): LabPaths {
  const stateDir = `${place.stateRoot}/labs/${place.name}`;
  const runDir = `${place.runRoot}/labs/${place.name}`;
  return {
    stateDir,
    runDir,
    recordFile: `${stateDir}/lab.json`,
    lockFile: `${stateDir}/lock`,
    logsDir: `${stateDir}/logs`,
    pidsDir: `${stateDir}/pids`,
    configsDir: `${stateDir}/configs`,
    programsFile: `${stateDir}/programs.json`,
    powerFile: `${stateDir}/off.json`,
    supervisorFile: `${stateDir}/supervisor.json`,
    tokenFile: `${stateDir}/token`,
    bus: `${runDir}/bus.sock`,
    apiFile: `${runDir}/api.json`,
  };
}

export function checkLabName(name: string): void {
  if (labNamePattern.test(name)) return;
  throw new ConsortError(
    "bad_input",
    `Cannot use "${name}" as a lab's name: wanted at most 16 of a-z, 0-9 and _, beginning with a letter`,
  );
}

export function checkNodeName(name: string): void {
  if (nodeNamePattern.test(name)) return;
  throw new ConsortError(
    "bad_input",
    `Cannot build a lab node named "${name}": wanted at most 63 of a-z, 0-9 and -, beginning with a letter`,
  );
}

/** All network namespaces of a lab begin with this, its appliances' too. */
export const netnsMark = (lab: string): string => `cst-${lab}-`;
export const netnsName = (lab: string, node: string): string => `${netnsMark(lab)}${node}`;
export const netnsPath = (netns: string): string => `/run/netns/${netns}`;

/** Path below the root of every cgroup tree. */
export const labCgroup = (lab: string): string => `consort/${lab}`;
export const nodeCgroup = (lab: string, node: string): string => `${labCgroup(lab)}/${node}`;
/** The managers' own group: a sibling of the hosts', so that a host's budget is all its appliances'. */
export const managersCgroup = (lab: string): string => `${labCgroup(lab)}/managers`;

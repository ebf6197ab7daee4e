/** Named limits of what a file may ask for; docs/reference/ensemble.md lists them. */
export const formatLimits = {
  /** Size of an ensemble file, in bytes of UTF-8. */
  ensembleBytes: 4 * 1024 * 1024,
  /** Size of a topology file: room for tens of thousands of hosts. */
  topologyBytes: 16 * 1024 * 1024,
  /** Length of a snapshot's text: room for ten thousand hosts; the longest a program can hold is twice this. */
  snapshotCharacters: 256 * 1024 * 1024,
  /** Depth of nested lists and maps in any file. */
  depth: 32,
  /** Values in one file. */
  values: 4_000_000,
  /** Values that come from following YAML aliases: what stops an alias bomb. */
  aliasedValues: 100_000,
  /** Problems told at once; the first ones are the useful ones. */
  problems: 50,
  nameLength: 40,
  /** Appliances of one ensemble, replicas counted. */
  appliances: 10_000,
  networks: 256,
  /** Links between appliances of one ensemble, replicas counted. */
  links: 200_000,
  placementRules: 1_000,
  interfaces: 16,
  filesPerAppliance: 256,
  fileBytes: 1024 * 1024,
  /** Of one virtual machine. */
  vcpus: 64,
  softwareImages: 16,
  imageNameLength: 63,
  sshKeys: 64,
  sshKeyLength: 8192,
  checkpointCopies: 7,
  checkpointsKept: 100,
  /** Teams of one appliance, those inside others counted, and how deep they may be nested. */
  teams: 64,
  teamDepth: 8,
  jobsPerTeam: 200,
  serviceClasses: 64,
  monitors: 256,
  strategies: 256,
  actionsPerStrategy: 16,
  pathLength: 512,
  /** Size of a job file. */
  jobBytes: 1024 * 1024,
  /** Files brought to a job, and as many taken away. */
  stagings: 256,
  jobAttempts: 100,
  /** Hosts and devices of one topology. */
  nodes: 50_000,
  /** Physical links of one topology. */
  cables: 200_000,
} as const;

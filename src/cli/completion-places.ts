import { commands } from "#cli/commands.ts";

/** Words known beforehand, or what is asked of consort for them, one a line, when they are wanted. */
export type Offer = { readonly words: readonly string[]; readonly lister?: string };

/** What may stand after the words `after` of a command, options left out; "*" is any word. */
export type Place = { readonly after: readonly string[]; readonly offer: Offer };

const asked = (lister: string): Offer => ({ words: [], lister });

const hosts: Offer = asked("hosts --quiet");
/** Gateways run nothing that could move. */
const hostsWithoutGateways: Offer = asked("hosts --quiet --role host");
const ensembles: Offer = asked("ps --quiet");
/** With their ensembles. */
const appliances: Offer = asked("ps --quiet --appliances");
const images: Offer = asked("image ls --quiet");
const jobs: Offer = asked("job ls --quiet");
const secrets: Offer = asked("secret ls --quiet");

const first = (offer: Offer): Place => ({ after: [], offer });
const firstWord = (...words: readonly string[]): Place => first({ words });

const places: Readonly<Record<string, readonly Place[]>> = {
  lab: [
    firstWord("up", "down", "status", "power", "pause", "resume"),
    { after: ["power"], offer: { words: ["off", "on"] } },
    { after: ["power", "*"], offer: hosts },
    { after: ["pause"], offer: hosts },
    { after: ["resume"], offer: hosts },
  ],
  host: [
    firstWord("drain", "cordon", "uncordon", "forget"),
    { after: ["drain"], offer: hostsWithoutGateways },
    { after: ["cordon"], offer: hostsWithoutGateways },
    { after: ["uncordon"], offer: hostsWithoutGateways },
    { after: ["forget"], offer: hosts },
  ],
  job: [
    firstWord("submit", "ls", "status", "output", "cancel", "rm"),
    { after: ["status"], offer: jobs },
    { after: ["output"], offer: jobs },
    { after: ["cancel"], offer: jobs },
    { after: ["rm"], offer: jobs },
  ],
  image: [
    firstWord("ls", "show", "add", "upload", "build", "rm", "discover", "gc"),
    { after: ["show"], offer: images },
    { after: ["add"], offer: images },
    { after: ["upload"], offer: images },
    { after: ["build"], offer: { words: ["tiny", "debian", "software"] } },
    { after: ["rm"], offer: images },
  ],
  secret: [
    firstWord("set", "ls", "rm"),
    { after: ["set"], offer: secrets },
    { after: ["rm"], offer: secrets },
  ],
  ps: [first(ensembles)],
  down: [first(ensembles)],
  resize: [first(appliances)],
  migrate: [first(appliances)],
  checkpoint: [first({ ...appliances, words: ["ls"] }), { after: ["ls"], offer: ensembles }],
  restore: [first(appliances)],
  suspend: [first(appliances)],
  resume: [first(appliances)],
  explain: [first(appliances)],
  export: [first(ensembles)],
  describe: [first(appliances)],
  logs: [first(appliances)],
  exec: [first(appliances)],
  console: [first(appliances)],
  profile: [first(appliances)],
  completion: [firstWord("bash", "zsh", "fish")],
  help: [firstWord(...commands.map((entry) => entry.name))],
};

/** Where nothing is known to be offered, the shell offers files. */
export const placesOf = (command: string): readonly Place[] => places[command] ?? [];

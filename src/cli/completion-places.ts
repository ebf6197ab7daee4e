import { commands } from "#cli/commands.ts";

/** Words known beforehand, or a command that prints them, one a line, when they are wanted. */
export type Offer = { readonly words: readonly string[] } | { readonly lister: string };

/** What may stand after the words `after` of a command, options left out; "*" is any word. */
export type Place = { readonly after: readonly string[]; readonly offer: Offer };

/** They print nothing at all where no manager answers. */
const hosts: Offer = { lister: "consort hosts --quiet 2>/dev/null" };
/** Gateways run nothing that could move. */
const hostsWithoutGateways: Offer = { lister: "consort hosts --quiet --role host 2>/dev/null" };
const ensembles: Offer = { lister: "consort ps --quiet 2>/dev/null" };

const appliances: Offer = { lister: "consort ps --quiet --appliances 2>/dev/null" };

const jobs: Offer = { lister: "consort job ls --quiet 2>/dev/null" };
const secrets: Offer = { lister: "consort secret ls 2>/dev/null" };

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
  secret: [
    firstWord("set", "ls", "rm"),
    { after: ["set"], offer: secrets },
    { after: ["rm"], offer: secrets },
  ],
  ps: [first(ensembles)],
  down: [first(ensembles)],
  resize: [first(appliances)],
  migrate: [first(appliances)],
  checkpoint: [first(appliances), firstWord("ls"), { after: ["ls"], offer: ensembles }],
  restore: [first(appliances)],
  suspend: [first(appliances)],
  resume: [first(appliances)],
  explain: [first(ensembles)],
  export: [first(ensembles)],
  describe: [first(ensembles)],
  completion: [firstWord("bash", "zsh", "fish")],
  help: [firstWord(...commands.map((entry) => entry.name))],
};

/** Where nothing is known to be offered, the shell offers files. */
export const placesOf = (command: string): readonly Place[] => places[command] ?? [];

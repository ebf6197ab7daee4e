import type { Random } from "#base/runtime.ts";
import { parseEnsembleDocument } from "#formats/ensemble.ts";
import type { Ensemble } from "#model/ensemble.ts";

/**
 * What the chaos test asks for: small ensembles, and changes of them. Every member's command carries a tag that
 * names it and the version of its command, so that its process can be recognised without asking any manager.
 */
export type Member = {
  readonly name: string;
  /** Counts changes of its command. */
  readonly version: number;
  readonly site?: string;
  readonly memoryMiB: number;
  readonly cpuPercent?: number;
};

export type Link = {
  readonly a: string;
  readonly b: string;
  readonly mbps: number;
  readonly ceilingMbps?: number;
};

export type Declared = {
  readonly name: string;
  readonly members: readonly Member[];
  readonly links: readonly Link[];
  /** No two members on one host of the first two. */
  readonly apart: boolean;
};

/** Desired state by ensemble name. */
export type World = ReadonlyMap<string, Declared>;

export type Step =
  | { readonly kind: "up" | "change"; readonly what: string; readonly declared: Declared }
  | { readonly kind: "down"; readonly what: string; readonly name: string };

const ensemblesMax = 3;
const membersMax = 5;
const sites = ["alpha", "beta"];

export const tagOf = (ensemble: string, member: Member): string =>
  `chaos:${ensemble}/${member.name}#${member.version}`;

/** Takes its time when asked to end, so that one that is begun elsewhere too early is met there. */
const lingering = "$SIG{TERM} = sub { select undef, undef, undef, 0.2; exit 0 }; sleep while 1";

/** Appliances do nothing but wait to be found and pinged. */
export function ensembleOf(declared: Declared): Ensemble {
  const parsed = parseEnsembleDocument(
    {
      ensemble: declared.name,
      appliances: Object.fromEntries(
        declared.members.map((member) => [
          member.name,
          {
            command: ["perl", "-e", lingering, tagOf(declared.name, member)],
            memory: `${member.memoryMiB}MiB`,
            stopGrace: "1s",
            // Killed again and again, it is still to be back soon.
            restart: { when: "always", backoff: { min: "50ms", max: "200ms" } },
            ...(member.site === undefined ? {} : { sites: [member.site] }),
            ...(member.cpuPercent === undefined ? {} : { cpu: `${member.cpuPercent}%` }),
          },
        ]),
      ),
      links: declared.links.map(({ a, b, mbps, ceilingMbps }) => ({
        from: a,
        to: b,
        bandwidth: `${mbps}Mbit/s`,
        ...(ceilingMbps === undefined ? {} : { ceiling: `${ceilingMbps}Mbit/s` }),
      })),
      placement: declared.apart ? [{ apart: declared.members.slice(0, 2).map(({ name }) => name) }] : [],
    },
    "chaos",
  );
  if (parsed.ok) return parsed.value;
  throw new Error(JSON.stringify(parsed.problems));
}

export function nextStep(world: World, serial: number, random: Random): Step {
  const names = [...world.keys()];
  const dice = random.integer(10);
  const chosen = world.get(pick(names, random) ?? "");
  if (chosen === undefined || (names.length < ensemblesMax && dice < 3)) {
    const declared = newEnsemble(`e${serial}`, random);
    return { kind: "up", what: `up of ${declared.name} (${declared.members.length})`, declared };
  }
  if (dice < 5) return { kind: "down", what: `down of ${chosen.name}`, name: chosen.name };
  const { what, declared } = changed(chosen, serial, random);
  return { kind: "change", what: `${what} in ${chosen.name}`, declared };
}

/** The world once the step is accepted. */
export function after(world: World, step: Step): World {
  const next = new Map(world);
  if (step.kind === "down") next.delete(step.name);
  else next.set(step.declared.name, step.declared);
  return next;
}

function newEnsemble(name: string, random: Random): Declared {
  const count = 2 + random.integer(membersMax - 1);
  const members = Array.from({ length: count }, (_, index) => newMember(`m${index}`, random));
  return { name, members, links: newLinks(members, random), apart: random.integer(2) === 0 };
}

function newMember(name: string, random: Random): Member {
  const site = pick([...sites, undefined], random);
  return {
    name,
    version: 1,
    memoryMiB: 8 + random.integer(8),
    ...(site === undefined ? {} : { site }),
    ...(random.integer(2) === 0 ? {} : { cpuPercent: 1 + random.integer(3) }),
  };
}

function newLinks(members: readonly Member[], random: Random): Link[] {
  return members.slice(1).flatMap((member, index) => {
    const other = members[random.integer(index + 1)];
    return other === undefined || random.integer(3) === 0 ? [] : [newLink(other.name, member.name, random)];
  });
}

function newLink(a: string, b: string, random: Random): Link {
  const mbps = 1 + random.integer(20);
  return { a, b, mbps, ...(random.integer(3) === 0 ? { ceilingMbps: mbps + random.integer(20) } : {}) };
}

type Change = { readonly what: string; readonly declared: Declared };

function changed(declared: Declared, serial: number, random: Random): Change {
  const { members, links } = declared;
  const victim = pick(members, random);
  if (victim === undefined) throw new Error("an ensemble without members was declared");
  const replacing = (next: Member): Declared => ({
    ...declared,
    members: members.map((member) => (member.name === victim.name ? next : member)),
  });
  switch (random.integer(6)) {
    case 0:
      return {
        what: `new command of ${victim.name}`,
        declared: replacing({ ...victim, version: victim.version + 1 }),
      };
    case 1:
      return {
        what: `resize of ${victim.name}`,
        declared: replacing({ ...victim, memoryMiB: 8 + random.integer(16) }),
      };
    case 2: {
      const site = pick(sites, random);
      return { what: `${victim.name} to ${site}`, declared: replacing({ ...victim, site: site ?? "alpha" }) };
    }
    case 3: {
      if (members.length >= membersMax) return removal(declared, victim.name);
      const member = newMember(`n${serial}`, random);
      return {
        what: `addition of ${member.name}`,
        declared: {
          ...declared,
          members: [...members, member],
          links: [...links, newLink(victim.name, member.name, random)],
        },
      };
    }
    case 4:
      return members.length > 2 ? removal(declared, victim.name) : { what: "nothing", declared };
    default:
      return { what: "new links", declared: { ...declared, links: newLinks(members, random) } };
  }
}

function removal(declared: Declared, name: string): Change {
  return {
    what: `removal of ${name}`,
    declared: {
      ...declared,
      members: declared.members.filter((member) => member.name !== name),
      links: declared.links.filter(({ a, b }) => a !== name && b !== name),
    },
  };
}

export function pick<Item>(items: readonly Item[], random: Random): Item | undefined {
  return items[random.integer(items.length)];
}

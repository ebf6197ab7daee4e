import type { HostLossPolicy, RestartPolicy } from "#model/ensemble.ts";

/**
 * One word for what happens after an appliance's program ended and after its host was lost. `on-failure` goes
 * elsewhere too; an appliance that is never started again needs no lease, so it stays.
 */
export const restartWords = ["elsewhere", "in-place", "always", "on-failure", "never"] as const;
export type RestartWord = (typeof restartWords)[number];

export const restartWhens = ["always", "on-failure", "never"] as const satisfies RestartPolicy["when"][];
export const hostLossPolicies = ["elsewhere", "in-place"] as const satisfies HostLossPolicy[];

type Meaning = { readonly when: RestartPolicy["when"]; readonly onHostLoss: HostLossPolicy };

export function restartMeaning(word: RestartWord): Meaning {
  switch (word) {
    case "elsewhere":
    case "in-place":
      return { when: "always", onHostLoss: word };
    default:
      return { when: word, onHostLoss: onHostLossUnlessTold(word) };
  }
}

/** What the file means when it says only when a program is started again. */
export const onHostLossUnlessTold = (when: RestartPolicy["when"]): HostLossPolicy =>
  when === "never" ? "in-place" : "elsewhere";

/** The first word that means both, or undefined when only the map can say it. */
export function restartWord(
  when: RestartPolicy["when"],
  onHostLoss: HostLossPolicy,
): RestartWord | undefined {
  return restartWords.find((word) => {
    const meaning = restartMeaning(word);
    return meaning.when === when && meaning.onHostLoss === onHostLoss;
  });
}

import type { HostAbility } from "#planner/mapping.ts";

/**
 * What hosts tell of themselves in `capabilities`: "appliance:task", "appliance:vm", "kvm" (a guest has run in it), and
 * what their drivers can do, as the appliance port calls it. What is not told the planner takes no host to have.
 */
const abilityNames: readonly (readonly [HostAbility, string])[] = [
  ["task", "appliance:task"],
  ["vm", "appliance:vm"],
  ["kvm", "kvm"],
];

export const abilitiesOf = (capabilities: readonly string[]): HostAbility[] =>
  abilityNames.flatMap(([ability, name]) => (capabilities.includes(name) ? [ability] : []));

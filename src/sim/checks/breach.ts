/** What must hold at every moment of every run, whatever fails. docs/explanation/simulator.md tells what each means. */
export const invariants = [
  "runs-once",
  "acknowledged-kept",
  "not-over-admitted",
  "epoch-obeyed",
  "converged",
  "nothing-leaked",
  "operations-end",
  "never-goes-back",
  "checkpoints-kept",
  "parked-kept",
] as const;
export type Invariant = (typeof invariants)[number];

/** One way in which an invariant does not hold; `message` names what and where, for people. */
export type Breach = { readonly invariant: Invariant; readonly message: string };

/** Ends a run at the event after which the breach was there. */
export class BreachError extends Error {
  readonly breach: Breach;

  constructor(breach: Breach) {
    super(`${breach.invariant}: ${breach.message}`);
    this.name = "BreachError";
    this.breach = breach;
  }
}

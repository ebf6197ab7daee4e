/** What one program has promised of this machine. CPU time in thousandths of a processor, of all of them together. */
export type Promised = { readonly cpuMilli: number; readonly memoryBytes: number };

/**
 * What the programs that share one machine promise of it, so that all together never promise more than there is. One for
 * each program; what a program has promised ends with it, however it ends. Calls are synchronous and wait for other
 * programs to have finished theirs, which takes a fraction of a millisecond.
 */
export interface PromiseLedger {
  /** Throws as `promise` would, and changes nothing. */
  admit(action: string, change: Partial<Promised>): void;
  /**
   * From now on, in place of what was promised of it before. Less is always accepted. Throws `unsatisfiable`, as what
   * the action to be refused would be, when it and other programs would promise more than the machine has.
   */
  promise(action: string, change: Partial<Promised>): void;
  /** Nothing is promised any more. */
  close(): void;
}

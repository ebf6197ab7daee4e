/** What other sides ask of those who fetch and bring files, by names that jobs and images may use. Never logged. */
export interface SecretStore {
  /** Throws `not_found`. */
  get(name: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** New, or instead of what was there; durable when it resolves. */
  set(name: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  names(signal: AbortSignal): Promise<string[]>;
  /** Throws `not_found`. */
  remove(name: string, signal: AbortSignal): Promise<void>;
}

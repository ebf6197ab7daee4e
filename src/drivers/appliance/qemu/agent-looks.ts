import type { PortAgent } from "./agent.ts";

export type AgentNews = {
  /** It answers, after it did not or its guest began anew. */
  readonly greeted: () => void;
  /** It answered of late, at every look. */
  readonly answers: () => void;
  readonly changed: () => void;
};

/** Looks whether a guest's agent answers. One look at a time: a guest that is silent takes long, and programs wait. */
export class AgentLooks {
  readonly #agent: PortAgent;
  readonly #news: AgentNews;
  readonly #signal: AbortSignal;
  #looking: Promise<void> | undefined;
  /** It has answered since its guest began, and since it was silent last. */
  #isGreeted = false;

  constructor(agent: PortAgent, news: AgentNews, signal: AbortSignal) {
    this.#agent = agent;
    this.#news = news;
    this.#signal = signal;
  }

  /** Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#ping().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** When it answers next, it is as if for the first time. */
  forget(): void {
    this.#isGreeted = false;
  }

  async #ping(): Promise<void> {
    const before = this.#agent.answers();
    const ping = this.#agent.execute("guest-ping", {}, this.#signal);
    const isHeard = await ping.then(
      () => true,
      () => false,
    );
    // The first to hear it may be any look: the one it was greeted with may have come too early for it.
    if (isHeard && !this.#isGreeted) this.#news.greeted();
    this.#isGreeted = isHeard;
    if (this.#agent.answers()) this.#news.answers();
    if (this.#agent.answers() !== before) this.#news.changed();
  }
}

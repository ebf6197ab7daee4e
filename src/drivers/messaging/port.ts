/**
 * Addressed request and reply, publishing to a room, presence. Local: a Unix socket on one machine. Clustered
 * and federated: XMPP. Messages may be lost or come twice; bodies are JSON values.
 */
export type Presence = { readonly address: string; readonly present: boolean };

export type IncomingRequest = {
  readonly from: string;
  readonly topic: string;
  readonly body: unknown;
};

export interface Messaging {
  /** This end's own address ("host/a1", "cluster"). */
  readonly address: string;
  /** Throws `unavailable` when nobody answers at that address, `timeout` by the signal, or the answerer's error. */
  request(to: string, topic: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  /** One handler a topic; a thrown error reaches the asker with its code and message. */
  answer(topic: string, handler: (request: IncomingRequest, signal: AbortSignal) => Promise<unknown>): void;
  publish(room: string, body: unknown): void;
  /** Returns what ends the subscription. */
  subscribe(room: string, listener: (from: string, body: unknown) => void): () => void;
  /** Who is there now. */
  present(): readonly string[];
  isPresent(address: string): boolean;
  onPresence(listener: (change: Presence) => void): void;
  close(): Promise<void>;
}

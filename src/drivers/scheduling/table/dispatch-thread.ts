/** What the dispatcher's process and its thread share beside the table. */
export type DispatchThreadData = {
  readonly file: string;
  /** Per job, what it is stopped and continued by: see `openJob`. */
  readonly fds: SharedArrayBuffer;
  /** One word, raised when jobs have become reachable. */
  readonly reached: SharedArrayBuffer;
};

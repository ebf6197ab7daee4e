import type { Address } from "./address.ts";
import type { CurlRun } from "./curl.ts";

/** What is known of content before it is read. */
export type Description = {
  readonly sizeBytes?: number;
  /** Another one once the content is another: an entity tag, a time. Absent: cannot be told. */
  readonly validator?: string;
};

/** How it is seen how far an upload is: by the process that reads the file, or told where that is not one process. */
export type WriteWatch = {
  readonly look: (pid: number) => void;
  readonly tell: (doneBytes: number) => void;
};

/** How one kind of server is talked to. */
export interface Server {
  describe(at: Address, signal: AbortSignal): Promise<Description>;
  /** Writes its content from that byte on to the end of an open file. */
  read(
    at: Address,
    offset: number,
    into: Pick<CurlRun, "outputFd" | "look">,
    signal: AbortSignal,
  ): Promise<void>;
  /** Resolves when the server has acknowledged all of it. */
  write(file: string, to: Address, watch: WriteWatch, signal: AbortSignal): Promise<void>;
  /** It keeps what arrives of an upload that is cut off: `write` goes on with it. */
  readonly goesOnWriting?: true;
  /** Forgets such parts, of this address and of all below it. */
  abandonUploads?(at: Address, signal: AbortSignal): Promise<void>;
  /**
   * Has the server copy what is at `from`, an address of the same server. True: what is at `to` now was seen to be what
   * `file` holds.
   */
  copy?(from: Address, to: Address, file: string, signal: AbortSignal): Promise<boolean>;
  list(at: Address, signal: AbortSignal): Promise<readonly string[]>;
  remove(at: Address, signal: AbortSignal): Promise<void>;
}

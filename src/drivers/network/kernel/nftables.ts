import { readdirSync } from "node:fs";
import koffi from "koffi";
import type { KoffiFunc } from "koffi";
import { ConsortError } from "#base/errors.ts";
import { keepFromPrograms } from "#drivers/network/kernel/libc.ts";

/**
 * libnftables inside this process: a change costs some 0.05 ms where starting `nft` costs 10. A context belongs to
 * the network namespace it was made in. One call is one transaction: all of it happens, or none.
 */
type Library = {
  readonly make: (flags: number) => unknown;
  readonly free: (context: unknown) => void;
  readonly bufferOutput: (context: unknown) => number;
  readonly bufferError: (context: unknown) => number;
  readonly error: (context: unknown) => string;
  readonly run: KoffiFunc<(context: unknown, commands: string) => number>;
};

let loaded: Library | undefined;

function library(): Library {
  if (loaded !== undefined) return loaded;
  const handle = load();
  koffi.opaque("nft_ctx");
  loaded = {
    make: handle.func("nft_ctx *nft_ctx_new(uint32_t)"),
    free: handle.func("void nft_ctx_free(nft_ctx *)"),
    bufferOutput: handle.func("int nft_ctx_buffer_output(nft_ctx *)"),
    bufferError: handle.func("int nft_ctx_buffer_error(nft_ctx *)"),
    error: handle.func("const char *nft_ctx_get_error_buffer(nft_ctx *)"),
    run: handle.func("int nft_run_cmd_from_buffer(nft_ctx *, const char *)"),
  };
  return loaded;
}

function load(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load("libnftables.so.1");
  } catch (cause) {
    throw new ConsortError(
      "unsupported",
      "Cannot isolate ensembles: libnftables.so.1 is not installed (Debian package libnftables1)",
      { cause },
    );
  }
}

/** The library's socket would be inherited by every program that is started later, and outlive this process there. */
function keptFromPrograms<Made>(make: () => Made): Made {
  const made = make();
  // Programs are given their first three by name, and whatever else they are to have.
  for (const fd of readdirSync(openFiles).map(Number)) if (fd > 2) keepFromPrograms(fd);
  return made;
}

const openFiles = "/proc/self/fd";

/** Above this, a call takes milliseconds and goes to another thread. */
const commandCharactersMaxInline = 8192;

export class Nftables {
  readonly #library = library();
  readonly #context = keptFromPrograms(() => this.#library.make(0));
  #closed = false;

  constructor() {
    this.#library.bufferOutput(this.#context);
    this.#library.bufferError(this.#context);
  }

  /** Throws `driver_failed` with nft's own words; then nothing was changed. */
  async transact(commands: string): Promise<void> {
    if (this.#closed)
      throw new ConsortError("conflict", "Cannot change the packet filter: it is closed here already");
    const code =
      commands.length <= commandCharactersMaxInline
        ? this.#library.run(this.#context, commands)
        : await this.#runElsewhere(commands);
    if (code === 0) return;
    const words = this.#library.error(this.#context).trim().slice(0, 600);
    throw new ConsortError("driver_failed", `Cannot change the packet filter: ${words}`);
  }

  /** What is freed twice ends the whole process. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#library.free(this.#context);
  }

  #runElsewhere(commands: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#library.run.async(this.#context, commands, (cause: Error | null, code: number) => {
        if (cause === null) resolve(code);
        else reject(cause);
      });
    });
  }
}

/** What the other side asks for: user, password, privateKey, hostKey, token, accessKey, secretKey, sessionToken, region, endpoint. */
export type Secret = Readonly<Record<string, string>>;

export type Place = {
  /** Of the scheme file, http, https, ftp, sftp, s3 or webhdfs; without a password in it. */
  readonly url: string;
  readonly secret?: Secret;
};

export type Expected = {
  /** 64 hexadecimal digits. */
  readonly sha256?: string;
  /** What is larger is left where it is. */
  readonly sizeBytesMax?: number;
};

/** The total is absent where the other side does not tell it. */
export type OnProgress = (progress: { readonly doneBytes: number; readonly totalBytes?: number }) => void;

/** Files between this host and servers of many kinds. */
export interface Transfer {
  /**
   * The whole of it, into `file`, which appears when all is there and checked. What an earlier attempt left beside it
   * ("<file>.part") is gone on with, where the content is sure to be the same. Rejects with `not_found`, `forbidden`
   * (the credentials, or who the server is), `bad_input` (not what was expected, or an address that cannot be),
   * `limit_exceeded` (too large), `unavailable` (also after several tries).
   */
  download(
    from: Place,
    file: string,
    expected: Expected,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly sha256: string }>;
  /** Resolves when the server has acknowledged all of it. What was there is replaced. */
  upload(file: string, to: Place, onProgress: OnProgress, signal: AbortSignal): Promise<void>;
  /**
   * Has the server itself copy what is at `from`, without its content going over the network. Resolves with true only
   * if what is at `to` now was seen to be what `file` holds; else it is to be uploaded. Never rejects but for the signal.
   */
  copy(from: Place, to: Place, file: string, signal: AbortSignal): Promise<boolean>;
  /** What is in a directory, or begins with a key and "/". Names only, of files and directories of this one level. */
  list(at: Place, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * What was sent in part only, to here and to all below it, is forgotten by the server. Nothing happens where servers
   * keep no such parts.
   */
  abandonUploads(at: Place, signal: AbortSignal): Promise<void>;
  /** Nothing happens when it is not there. */
  remove(at: Place, signal: AbortSignal): Promise<void>;
}

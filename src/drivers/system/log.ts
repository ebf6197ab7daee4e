import { writeSync } from "node:fs";
import type { Clock, Log, LogFields } from "#base/runtime.ts";

const levels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof levels)[number];

/** One JSON object a line on a file descriptor (2 is standard error). Synchronous: the last line before a crash is there. */
export function jsonLog(options: { clock: Clock; fd: number; level: LogLevel; fields?: LogFields }): Log {
  const write = (level: LogLevel, message: string, fields: LogFields | undefined): void => {
    if (levels.indexOf(level) < levels.indexOf(options.level)) return;
    const at = new Date(options.clock.now()).toISOString();
    const line = JSON.stringify({ at, level, message, ...options.fields, ...fields }, errorsAsText);
    try {
      writeSync(options.fd, `${line}\n`);
    } catch {
      // A log nobody can read any more must not stop the manager.
    }
  };
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
    with: (fields) => jsonLog({ ...options, fields: { ...options.fields, ...fields } }),
  };
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};

function errorsAsText(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { message: value.message, stack: value.stack, ...("code" in value ? { code: value.code } : {}) };
}

/** The operational log: pino on stderr, JSON lines for machines, short lines for a terminal. */
import type { Writable } from 'node:stream';
import pino from 'pino';
import type { LogLevel } from '../config/run-options.ts';

export type LogStream = Writable & { readonly isTTY?: boolean };

const COLOURS: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  info: '\u001b[36m',
};

/** Longest backlog of a reader that does not keep up. */
const MAX_UNREAD_BYTES = 256 << 10;

export function createLogger(level: LogLevel, stderr: LogStream, colour: boolean): pino.Logger {
  const options: pino.LoggerOptions = {
    name: 'portcullis',
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ['env', '*.env', 'arguments', '*.arguments'], remove: true },
  };
  const write = patientWriter(stderr);
  if (stderr.isTTY !== true) return pino(options, { write });
  return pino(options, { write: (line: string) => write(forTerminal(line, colour)) });
}

/**
 * Writes at once where there is room, and waits for nobody: a host that does not read the log must not hold up the
 * gate, whatever the agent or the server gives it to write. Lines beyond the backlog are dropped, and counted.
 */
function patientWriter(stderr: LogStream): (line: string) => void {
  let dropped = 0;
  // A log that nobody reads any more is no reason to stop judging.
  stderr.on('error', () => {});
  return (line) => {
    if (stderr.writableLength > MAX_UNREAD_BYTES) {
      dropped += 1;
      return;
    }
    const note = dropped === 0 ? '' : `${JSON.stringify({ level: 'warn', dropped, msg: DROPPED })}\n`;
    dropped = 0;
    stderr.write(note + line);
  };
}

const DROPPED = 'lines of this log were dropped here, since its reader did not keep up';

function forTerminal(line: string, colour: boolean): string {
  const {
    level,
    msg,
    time,
    pid: _pid,
    hostname: _host,
    name: _name,
    ...rest
  } = JSON.parse(line) as Record<string, unknown>;
  const label = colour ? `${COLOURS[String(level)] ?? ''}${String(level)}\u001b[0m` : String(level);
  const details = Object.keys(rest).length === 0 ? '' : ` ${JSON.stringify(rest)}`;
  return `${String(time).slice(11, 19)} ${label} ${String(msg)}${details}\n`;
}

/** The operational log: pino on stderr, JSON lines for machines, short lines for a terminal. */
import pino from 'pino';
import type { LogLevel } from '../config/run-options.ts';

const COLOURS: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  info: '\u001b[36m',
};

/** Synchronous, so that nothing is lost when the process ends. */
export function createLogger(
  level: LogLevel,
  stderr: NodeJS.WriteStream & { fd: 2 },
  colour: boolean,
): pino.Logger {
  const options: pino.LoggerOptions = {
    name: 'portcullis',
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ['env', '*.env', 'arguments', '*.arguments'], remove: true },
  };
  if (!stderr.isTTY) return pino(options, pino.destination({ fd: stderr.fd, sync: true }));
  return pino(options, { write: (line: string) => void stderr.write(forTerminal(line, colour)) });
}

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

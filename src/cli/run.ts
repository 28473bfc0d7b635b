/** `portcullis run`: hands the process's streams and signals to the daemon room, and prints what it reports. */
import { Socket } from 'node:net';
import type { RunOptions } from '../config/run-options.ts';
import { runProxy } from '../daemon/run.ts';
import { printFaults } from './faults.ts';
import { createLogger } from './logger.ts';
import { type CommandIo, wantsColour } from './program.ts';

export async function run(options: RunOptions, io: CommandIo): Promise<number> {
  const logger = createLogger(options.logLevel, io.stderr, wantsColour(io.stderr, io.env));
  const stop = new AbortController();
  const halt = new AbortController();
  let signal: NodeJS.Signals | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    if (signal === undefined) {
      signal = name;
      logger.info({ signal: name }, 'stopping: no further calls are taken; once more stops at once');
      stop.abort();
      return;
    }
    logger.warn({ signal: name }, 'stopping at once');
    halt.abort();
  };
  const signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const name of signals) process.on(name, onSignal);
  try {
    const code = await runProxy(options, {
      stdin: process.stdin,
      stdout: process.stdout,
      // A file or a terminal takes what comes; a pipe may have a reader that does not.
      ...(io.stderr instanceof Socket && !io.stderr.isTTY ? { stderr: io.stderr } : {}),
      logger,
      stop: stop.signal,
      halt: halt.signal,
      // Whatever ends this process, its upstream does not outlive it.
      onUpstream: (kill) => process.on('exit', kill),
      reportPolicy: (policy) =>
        printFaults(policy, (text) => void io.stderr.write(text), wantsColour(io.stderr, io.env)),
    });
    if (halt.signal.aborted) return signal === 'SIGINT' ? 130 : 143;
    return code;
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}

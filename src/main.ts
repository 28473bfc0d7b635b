#!/usr/bin/env node
/** The executable: argv in, exit code out. */
import { CommanderError } from 'commander';
import { createProgram } from './cli/program.ts';
import { EXIT } from './config/exit-codes.ts';

process.on('uncaughtException', (error) => {
  // FAIL-CLOSED: a gate that does not know its own state ends, and its upstream with it.
  process.stderr.write(`portcullis: internal error: ${error.stack ?? error.message}\n`);
  process.exit(EXIT.INTERNAL);
});

const program = createProgram({
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  exit: (code) => process.exit(code),
});
for (const command of [program, ...program.commands]) command.exitOverride();

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version were asked for; everything else commander refuses is the user's slip.
  process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
}

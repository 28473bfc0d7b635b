/** The command tree: names, flags, help. Each command's work is in a file of its own, loaded only when it is called. */
import { basename, join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { defaultStateDir } from '../config/paths.ts';
import {
  FAULTS,
  type Fault,
  LOG_LEVELS,
  type LogLevel,
  MAX_LANES,
  RUN_DEFAULTS,
  type RunOptions,
} from '../config/run-options.ts';
import { VERSION } from '../version.ts';

/** What a command may touch of the process. */
export type CommandIo = {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: NodeJS.WriteStream & { fd: 1 };
  readonly stderr: NodeJS.WriteStream & { fd: 2 };
  /** Called by the command with its exit code. */
  readonly exit: (code: number) => void;
};

type RunFlags = {
  readonly config: readonly string[];
  readonly stateDir?: string;
  readonly state: 'lmdb' | 'memory';
  readonly log?: string;
  readonly logLevel: LogLevel;
  readonly serverName?: string;
  readonly dryRun?: true;
  readonly failMode: 'closed' | 'open';
  readonly inject: Readonly<Record<string, Fault>>;
  readonly evaluationTimeout: number;
  readonly upstreamTimeout: number;
  readonly maxMessageBytes: number;
  readonly lanes?: number;
};

export function createProgram(io: CommandIo): Command {
  const program = new Command('portcullis')
    .description('A fail-closed gate between AI agents and MCP servers: policy on every tool call.')
    .version(VERSION, '-V, --version')
    .showHelpAfterError('(run with --help for the flags)')
    .configureHelp({ showGlobalOptions: true })
    .enablePositionalOptions();

  program
    .command('run', { isDefault: true })
    .description('Put one MCP server (the command after --) behind a policy, over stdio.')
    .usage('-c POLICY [options] -- COMMAND [ARG...]')
    .argument('<command>', 'the upstream MCP server: a command that speaks MCP on its stdin and stdout')
    .argument('[args...]', 'its arguments')
    .requiredOption(
      '-c, --config <file>',
      'policy file (YAML); may be repeated: every one must allow a call, the first stands above the others',
      (file: string, before: readonly string[] | undefined) => [...(before ?? []), file],
    )
    .option(
      '--state-dir <dir>',
      'folder for counters and the decision log (default: $XDG_STATE_HOME/portcullis)',
    )
    .addOption(
      new Option('--state <store>', 'where limits are counted')
        .choices(['lmdb', 'memory'])
        .default(RUN_DEFAULTS.state),
    )
    .option(
      '--log <file>',
      'decision log, one JSON line a decision (default: decisions.jsonl in the state folder)',
    )
    .addOption(
      new Option('--log-level <level>', 'operational log on stderr')
        .choices(LOG_LEVELS)
        .default(RUN_DEFAULTS.logLevel),
    )
    .option(
      '--server-name <name>',
      "the server's name in logs and limits (default: the policy file's name)",
      notEmpty,
    )
    .option('--dry-run', 'judge and log, but forward every well-formed call')
    .addOption(
      new Option(
        '--fail-mode <mode>',
        'what becomes of a call whose evaluation fails; open is for development only',
      )
        .choices(['closed', 'open'])
        .default('closed'),
    )
    .addOption(
      new Option(
        '--inject <tool=fault>',
        `rehearse a fault in every evaluation of a tool: ${FAULTS.join(', ')}`,
      )
        .argParser(parseInjection)
        .default({}, 'none'),
    )
    .option(
      '--evaluation-timeout <ms>',
      'longest run of one evaluation',
      positive,
      RUN_DEFAULTS.evaluationTimeoutMs,
    )
    .option(
      '--upstream-timeout <ms>',
      'longest silence of the upstream on a request',
      positive,
      RUN_DEFAULTS.upstreamTimeoutMs,
    )
    .option('--max-message-bytes <n>', 'longest message, either way', positive, RUN_DEFAULTS.maxMessageBytes)
    .option('--lanes <n>', 'evaluator workers (default: one less than the processors, at most 4)', lanes)
    .addHelpText(
      'after',
      `
Examples:
  portcullis run -c policy.yaml -- npx -y @modelcontextprotocol/server-filesystem /data
  portcullis run -c policy.yaml --dry-run -- python -m my_server

Exit codes: 0 done, 64 usage, 69 the upstream could not start or ended, 70 internal error,
78 bad policy or configuration (the upstream is then never started).`,
    )
    .action(async (command: string, args: string[], flags: RunFlags) => {
      const { run } = await import('./run.ts');
      io.exit(await run(runOptions(command, args, flags, io.env), io));
    });

  program
    .command('validate')
    .description('Check policy files; report every fault with its place and how to mend it.')
    .argument('<files...>', 'policy files')
    .option('--json', 'report as one JSON object')
    .action(async (files: string[], flags: { json?: true }) => {
      const { validate } = await import('./validate.ts');
      io.exit(
        await validate(
          files,
          { json: flags.json === true },
          {
            out: (text) => void io.stdout.write(text),
            err: (text) => void io.stderr.write(text),
            colour: wantsColour(io.stdout, io.env),
          },
        ),
      );
    });

  program
    .command('completion')
    .description('Print a completion script for a shell.')
    .addArgument(program.createArgument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('./completion.ts');
      io.stdout.write(completionScript(shell, program));
      io.exit(0);
    });
  return program;
}

/** Colours only on a terminal, and not where the user said no (https://no-color.org). */
export function wantsColour(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '';
}

function runOptions(
  command: string,
  args: readonly string[],
  flags: RunFlags,
  env: NodeJS.ProcessEnv,
): RunOptions {
  const stateDir = resolve(flags.stateDir ?? defaultStateDir(env));
  return {
    policyFiles: flags.config,
    command,
    args,
    stateDir,
    logFile: flags.log ?? join(stateDir, 'decisions.jsonl'),
    logLevel: flags.logLevel,
    serverName: flags.serverName ?? basename(flags.config[0] ?? '').replace(/\.ya?ml$/i, ''),
    mode: flags.dryRun === true ? 'dry_run' : 'enforce',
    failMode: flags.failMode,
    inject: flags.inject,
    state: flags.state,
    maxMessageBytes: flags.maxMessageBytes,
    evaluationTimeoutMs: flags.evaluationTimeout,
    upstreamTimeoutMs: flags.upstreamTimeout,
    drainTimeoutMs: RUN_DEFAULTS.drainTimeoutMs,
    lanes: flags.lanes,
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('Expected a whole number from 1.');
  return value;
}

function lanes(text: string): number {
  const value = positive(text);
  if (value > MAX_LANES) throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_LANES}.`);
  return value;
}

function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('Expected a name.');
  return text;
}

function parseInjection(
  text: string,
  before: Readonly<Record<string, Fault>>,
): Readonly<Record<string, Fault>> {
  const cut = text.lastIndexOf('=');
  const tool = text.slice(0, cut);
  const fault = FAULTS.find((known) => known === text.slice(cut + 1));
  if (cut < 1 || fault === undefined)
    throw new InvalidArgumentError(`Expected TOOL=FAULT, with FAULT one of ${FAULTS.join(', ')}.`);
  return { ...before, [tool]: fault };
}

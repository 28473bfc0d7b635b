/**
 * The composition root of `portcullis run`: one agent on a pair of streams, one upstream process, everything else
 * embedded. Builds each room, joins them, and takes them down again in an order that leaves no orphan and no
 * unanswered call behind. It is handed its streams and its stop signals; only `cli/` touches the process.
 */
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type OpenDecisionLog, type OpenedLog, openDecisionLog } from '../audit/log.ts';
import { EXIT } from '../config/exit-codes.ts';
import { makeFolder } from '../config/make-folder.ts';
import { MAX_PENDING_REQUESTS, type RunOptions } from '../config/run-options.ts';
import { lazyCounters } from '../counters/lazy.ts';
import { openLmdbCounters } from '../counters/lmdb.ts';
import { createMemoryCounters } from '../counters/memory.ts';
import type { Counters, PolicyInForce } from '../gate/ports.ts';
import type { Instant } from '../gate/protocol.ts';
import { culpritOf, type PolicyProgram } from '../policy/program.ts';
import { PolicyLoadError } from '../pool/policies.ts';
import { createPool, type Pool } from '../pool/pool.ts';
import { Session } from '../proxy/session.ts';
import { loadPoliciesApart } from '../store/load-apart.ts';
import type { LoadedPolicy } from '../store/load-policy.ts';
import { type PolicyWatch, watchPolicy } from '../store/watch-policy.ts';
import type { Channel } from '../transport/channel.ts';
import { streamChannel } from '../transport/stream-channel.ts';
import { spawnUpstream, type UpstreamProcess } from '../transport/upstream-process.ts';

export type Logger = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type RunParts = {
  readonly stdin: Readable;
  readonly stdout: Writable;
  /** Where the upstream's stderr is copied to; left out, the upstream writes to ours itself. */
  readonly stderr?: Writable;
  readonly logger: Logger;
  /** Aborts on the first SIGTERM or SIGINT: drain, then stop. */
  readonly stop: AbortSignal;
  /** Aborts on the second: stop now. */
  readonly halt: AbortSignal;
  /** Told how to end the upstream at once, for exits that nothing else can catch. */
  readonly onUpstream: (kill: () => void) => void;
  /** Prints the faults of a policy file. */
  readonly reportPolicy: (policy: Extract<LoadedPolicy, { ok: false }>) => void;
};

/** How long a process is given to leave by itself before it is signalled, and again before it is killed. */
const STOP_GRACE_MS = 2_000;
const TICK_MS = 500;
/** How long the last answers may take to leave. */
const FLUSH_TIMEOUT_MS = 2_000;

/** Runs until the agent leaves or a signal comes. Resolves to the process's exit code. */
export async function runProxy(options: RunOptions, parts: RunParts): Promise<number> {
  const { logger } = parts;
  const pool = createPool({
    runTimeoutMs: options.evaluationTimeoutMs,
    ...(options.lanes === undefined ? {} : { lanes: options.lanes }),
    // INVARIANT: only programs that the policy room compiled are loaded.
    locate: (program, rule, part) => culpritOf(program as PolicyProgram, rule, part),
    note: (level, message) => logger[level]({}, message),
  });
  try {
    const loaded = await loadPoliciesApart(options.policyFiles);
    if (!loaded.ok) {
      for (const failure of loaded.failures) parts.reportPolicy(failure);
      return EXIT.CONFIG;
    }
    for (const warning of loaded.warnings) logger.warn({ warning }, 'policy warning');
    if (isOneOf(options.logFile, loaded.files)) {
      logger.error(
        { file: options.logFile },
        'the decision log would be written into a policy file: name another file',
      );
      return EXIT.CONFIG;
    }
    const opened = openLog(options);
    if (!opened.ok) {
      logger.error({ file: options.logFile }, `the decision log cannot be opened: ${opened.detail}`);
      return EXIT.CONFIG;
    }
    const counters = openCounters(options, logger);
    try {
      announce(options, logger);
      return await serve(options, parts, {
        pool,
        program: loaded.program,
        files: loaded.files,
        digest: loaded.digest,
        counters,
        log: opened.log,
      });
    } finally {
      opened.log.close();
      await counters.close();
    }
  } finally {
    await pool.close();
  }
}

/** What loosens the gate is said at the top of its voice. */
function announce(options: RunOptions, logger: Logger): void {
  if (options.mode === 'dry_run')
    logger.warn({ mode: 'dry_run' }, 'DRY RUN: nothing is enforced; every well-formed call is forwarded');
  if (options.failMode === 'open')
    logger.warn(
      { failMode: 'open' },
      'FAIL MODE OPEN: calls whose evaluation fails are forwarded unjudged; for development only',
    );
  const injected = Object.entries(options.inject);
  if (injected.length > 0)
    logger.warn(
      { inject: options.inject },
      `REHEARSING FAULTS: evaluations of ${injected.map(([tool, fault]) => `${tool} (${fault})`).join(', ')} are made to fail`,
    );
}

/** Whether it is one of the files, under whatever name. */
function isOneOf(file: string, files: readonly string[]): boolean {
  const own = identityOf(file);
  return own !== undefined && files.some((other) => identityOf(other) === own);
}

/** undefined for what cannot be looked at: opening it says why. */
function identityOf(file: string): string | undefined {
  try {
    const { dev, ino } = statSync(file);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function openLog(options: RunOptions): OpenedLog {
  try {
    makeFolder(dirname(options.logFile));
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
  return openDecisionLog({ file: options.logFile });
}

function openCounters(options: RunOptions, logger: Logger): Counters & { close(): Promise<void> } {
  const note = (message: string): void => logger.warn({}, message);
  const server = options.serverName;
  if (options.state === 'memory') return createMemoryCounters({ server, now: Date.now });
  const dir = join(options.stateDir, 'counters');
  return lazyCounters(() => {
    try {
      makeFolder(dir);
    } catch (error) {
      return { ok: false, detail: error instanceof Error ? error.message : String(error) };
    }
    return openLmdbCounters({ dir, server, now: Date.now, note });
  });
}

type Rooms = {
  readonly pool: Pool;
  readonly program: unknown;
  readonly files: readonly string[];
  readonly digest: string;
  readonly counters: Counters;
  readonly log: OpenDecisionLog;
};

async function serve(options: RunOptions, parts: RunParts, rooms: Rooms): Promise<number> {
  const { logger } = parts;
  const { pool } = rooms;
  const sessionName = randomUUID();

  // Nothing is started for a policy that the lanes cannot judge by.
  let policy: PolicyInForce;
  try {
    policy = await pool.load(rooms.program, rooms.digest, options.inject);
  } catch (error) {
    logger.error({}, `the policy could not be loaded into the evaluator: ${String(error)}`);
    return error instanceof PolicyLoadError && error.code === 'compile_failed' ? EXIT.CONFIG : EXIT.INTERNAL;
  }
  if (parts.stop.aborted) return EXIT.OK;

  // The upstream's sink needs the session, and the session needs the upstream's channel.
  let session: Session | undefined;
  let spoke = false;
  let stopping = false;
  let upstreamEnded: string | undefined;
  const upstreamClosed = deferred<void>();
  const command = {
    command: options.command,
    args: options.args,
    ...(parts.stderr === undefined ? {} : { stderr: parts.stderr }),
  };
  const spawned = spawnUpstream(command, options.maxMessageBytes, {
    message: (bytes) => {
      spoke = true;
      session?.serverMessage(bytes);
    },
    oversize: () => session?.serverOversize(),
    burst: () => session?.burst(),
    drained: () => session?.drained(),
    closed: (detail) => {
      upstreamEnded = detail ?? 'closed its output';
      session?.upstreamClosed(upstreamEnded);
      upstreamClosed.resolve();
    },
  });
  const started = await spawned;
  if (!started.ok) {
    logger.error({ command: options.command }, `the upstream server could not be started: ${started.detail}`);
    return EXIT.UNAVAILABLE;
  }
  const upstream: UpstreamProcess = started.upstream;
  parts.onUpstream(() => upstream.kill());
  parts.halt.addEventListener('abort', () => upstream.kill());
  session = new Session(
    {
      gate: {
        session: sessionName,
        server: options.serverName,
        mode: options.mode,
        failMode: options.failMode,
        injected: new Set(Object.keys(options.inject)),
        maxPending: MAX_PENDING_REQUESTS,
        upstreamTimeoutMs: options.upstreamTimeoutMs,
        newId: idSource(),
      },
      policy,
      limits: {},
      maxMessageBytes: options.maxMessageBytes,
    },
    {
      evaluator: pool,
      counters: rooms.counters,
      log: rooms.log,
      clock,
      note: (level, message) => logger[level]({ session: sessionName }, message),
    },
  );
  const live = session;

  const agentClosed = deferred<void>();
  const agent = streamChannel(parts.stdin, parts.stdout, options.maxMessageBytes, {
    message: (bytes) => live.agentMessage(bytes),
    oversize: () => live.agentOversize(),
    burst: () => live.burst(),
    drained: () => live.drained(),
    closed: () => agentClosed.resolve(),
  });
  live.start(agent, upstream.channel);
  if (upstreamEnded !== undefined) live.upstreamClosed(upstreamEnded);
  const ticking = setInterval(() => live.tick(), TICK_MS);
  const reloading = reloadOnChange(options, pool, live, policy, rooms.files, logger);
  logger.info(
    { policy: rooms.digest, server: options.serverName, session: sessionName, upstreamPid: upstream.pid },
    'ready',
  );

  const stopped = aborted(parts.stop);
  const halted = aborted(parts.halt);
  const couldNotStart = upstreamClosed.promise.then(() => {
    if (!stopping) logger.error({}, `the upstream server ${upstreamEnded ?? 'ended'}`);
    // One that worked may have left calls to answer and an agent that goes on asking; one that never did is no server.
    return spoke ? new Promise<never>(() => {}) : undefined;
  });
  await Promise.race([agentClosed.promise, stopped, halted, couldNotStart]);
  stopping = true;
  const diedByItself = upstreamEnded !== undefined;

  if (!parts.halt.aborted) {
    if (parts.stop.aborted) await Promise.race([live.drain(), after(options.drainTimeoutMs), halted]);
    else await Promise.race([live.judged(), after(options.drainTimeoutMs), halted, stopped]);
    // What was forwarded may still be answered, as long as the upstream goes on working after its stdin has ended.
    upstream.channel.end();
    if (!parts.stop.aborted && !diedByItself)
      await Promise.race([live.drain(), upstream.gone, after(options.drainTimeoutMs), halted, stopped]);
    await Promise.race([upstream.stop(STOP_GRACE_MS), halted]);
  }
  clearInterval(ticking);
  reloading.close();
  upstream.kill();
  await Promise.race([flushed(agent, parts.stdout), after(FLUSH_TIMEOUT_MS), halted]);
  return diedByItself ? EXIT.UNAVAILABLE : EXIT.OK;
}

/** Hot reload: a policy file that changed and is valid replaces the one in force; any other is reported and left. */
function reloadOnChange(
  options: RunOptions,
  pool: Pool,
  session: Session,
  first: PolicyInForce,
  files: readonly string[],
  logger: Logger,
): { close(): void } {
  let inForce = first;
  let failures = 0;
  let queue = Promise.resolve();
  const reload = async (): Promise<void> => {
    const loaded = await loadPoliciesApart(options.policyFiles);
    if (!loaded.ok) {
      failures += 1;
      logger.error(
        {
          policy: inForce.digest,
          failures,
          diagnostics: loaded.failures.flatMap(({ diagnostics }) => diagnostics),
        },
        'the changed policy file is not valid; the policy in force stays',
      );
      return;
    }
    watches.follow(loaded.files);
    if (loaded.digest === inForce.digest) return;
    try {
      const next = await pool.load(loaded.program, loaded.digest, options.inject);
      const before = inForce;
      inForce = next;
      session.usePolicy(next);
      pool.unload(before.handle);
      logger.info({ policy: next.digest, replaced: before.digest }, 'policy reloaded');
    } catch (error) {
      failures += 1;
      logger.error(
        { policy: inForce.digest, failures },
        `the changed policy could not be loaded into the evaluator; the policy in force stays: ${String(error)}`,
      );
    }
  };
  const watches = new Watches(() => {
    queue = queue.then(reload);
  });
  watches.follow(files);
  return watches;
}

/** The files that the policy in force was made of. */
class Watches {
  readonly #changed: () => void;
  readonly #watches = new Map<string, PolicyWatch>();

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  follow(files: readonly string[]): void {
    for (const [file, watch] of this.#watches) {
      if (files.includes(file)) continue;
      watch.close();
      this.#watches.delete(file);
    }
    for (const file of files)
      if (!this.#watches.has(file)) this.#watches.set(file, watchPolicy(file, this.#changed));
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.close();
  }
}

/** Ids of decisions: unique across processes by their random part, and cheap. */
function idSource(): () => string {
  const prefix = randomUUID().replaceAll('-', '');
  let count = 0;
  return () => {
    count += 1;
    return `${prefix}-${count}`;
  };
}

function clock(): Instant {
  return { us: performance.now() * 1000, wallMs: Date.now() };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Unref'd: a wait that nothing else needs does not keep the process. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/** Resolves when the agent took all that was written for it, or is gone. */
function flushed(agent: Channel, stdout: Writable): Promise<void> {
  agent.flush();
  if (stdout.destroyed || stdout.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => {
    stdout.once('drain', resolve);
    stdout.once('close', resolve);
    stdout.once('error', () => resolve());
  });
}
